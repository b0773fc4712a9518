"""Jinja filter of the role `validate`: what is wrong with an inventory, in words an operator can act on."""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LANGUAGES = ("en", "tr")
# Beyond the fifteenth, a lane's RTP ports would run into rtpengine's (docs/network.md).
GPUS = 15
LANES = 16
KEYS = ("vault_audit_key", "vault_recording_key")
PASSWORDS = (
    "vault_bank_token",
    "vault_db_owner_password",
    "vault_db_session_password",
    "vault_db_banking_password",
    "vault_redis_session_password",
    "vault_redis_banking_password",
    "vault_redis_admin_password",
    "vault_pki_passphrase",
    "vault_backup_passphrase",
)
GROUPS = ("edge", "gpu", "data", "monitoring", "sandbox_bank")
# Words of libpq, of Redis' ACL files and of the daemons' files: nothing that one of them would quote.
_PASSWORD = re.compile(r"[A-Za-z0-9_.~+/=-]{16,}")
# User part of a request URI, as a trunk sends it.
_NUMBER = re.compile(r"[+0-9A-Za-z._-]+")
_SIP_URI = re.compile(r"sips?:[^@\s;]+@[^@\s]+|sips?:[^@\s;]+")

Site = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, Sequence[str]]


def problems(hostvars: Site, groups: Groups) -> list[str]:
    """Every fault of the inventory, each with its remedy; none where a site can be installed."""
    hosts = list(groups.get("all", ()))
    if not hosts:
        return [
            "the inventory has no hosts: copy inventory/example-bank or inventory/single-server to "
            "inventory/site and put yours in"
        ]
    first = hostvars[hosts[0]]
    if "tellerline_host_lanes" not in first:
        return ["the inventory lacks every default: give `-i inventory/hosts.yml` before `-i` of your site"]
    checks: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _groups(first, groups),
        lambda: _strangers(hosts, groups),
        lambda: _addresses(hostvars, hosts, groups),
        lambda: _gpus(hostvars, groups),
        lambda: _phone(first),
        lambda: _bank(hostvars, groups),
        lambda: _data(first),
        lambda: _secrets(first),
        lambda: _bundle(first),
    )
    return [problem for check in checks for problem in check()]


def _groups(site: Mapping[str, Any], groups: Groups) -> Iterator[str]:
    for name, why in (("gpu", "no lane would answer"), ("data", "no call could be recorded")):
        if not groups.get(name):
            yield f"group {name} has no host, so {why}: put one in"


def _strangers(hosts: Sequence[str], groups: Groups) -> Iterator[str]:
    known = {host for name in GROUPS for host in groups.get(name, ())}
    others = sorted(set(groups) - {*GROUPS, "all", "ungrouped"})
    for host in hosts:
        if host not in known:
            its = [name for name in others if host in groups[name]]
            near = [found for name in its for found in difflib.get_close_matches(name, GROUPS, n=1)]
            yield (
                f"{host} is in none of the groups {', '.join(GROUPS)}, so nothing would be installed on it"
                + (f"; did you mean {near[0]} instead of {its[0]}?" if near else "")
            )


def _addresses(hostvars: Site, hosts: Sequence[str], groups: Groups) -> Iterator[str]:
    seen: dict[str, str] = {}
    for host in hosts:
        address = str(hostvars[host]["tellerline_address"])
        if not _is_address(address):
            yield (
                f"{host}: tellerline_address {address!r} is no IP address; set it (or ansible_host) to the "
                "one other hosts reach it at: lanes write it into SDP"
            )
        elif ipaddress.ip_address(address).is_loopback and len(hosts) > 1:
            yield f"{host}: tellerline_address {address} cannot be reached from the other hosts"
        elif address in seen:
            yield f"{host} and {seen[address]} have the same tellerline_address, {address}"
        seen.setdefault(address, host)
        trunk = str(hostvars[host].get("tellerline_trunk_address", address))
        if host in groups.get("edge", ()) and trunk != address and not _is_address(trunk):
            yield f"{host}: tellerline_trunk_address {trunk!r} is no IP address: give its own there"


def _gpus(hostvars: Site, groups: Groups) -> Iterator[str]:
    for host in groups.get("gpu", ()):
        gpus, lanes = hostvars[host]["tellerline_gpus"], hostvars[host]["tellerline_lanes"]
        if not _are_gpus(gpus):
            yield (
                f"{host}: tellerline_gpus is {gpus!r}; give [cpu], or indices of GPUs from 0 to {GPUS - 1}, "
                "each once, as nvidia-smi counts them: [0, 1]"
            )
        elif not _is_whole(lanes) or not 1 <= int(lanes) <= LANES:
            yield f"{host}: tellerline_lanes is {lanes!r}; give 1 to {LANES} lanes a GPU"
        else:
            ports = Counter(_ports(hostvars[host]))
            for port in sorted(port for port, uses in ports.items() if uses > 1):
                yield f"{host}: two daemons would use port {port}; give it fewer lanes a GPU"


def _ports(host: Mapping[str, Any]) -> Iterator[int]:
    yield from (engine["metrics_port"] for engine in host["tellerline_host_engines"])
    for lane in host["tellerline_host_lanes"]:
        yield from (lane["sip_port"], lane["connector_metrics_port"], lane["pipeline_metrics_port"])


def _phone(site: Mapping[str, Any]) -> Iterator[str]:
    if site["tellerline_language"] not in LANGUAGES:
        yield f"tellerline_language {site['tellerline_language']!r}: callers can be answered in en or tr"
    for number, language in dict(site["tellerline_numbers"]).items():
        if not isinstance(number, str):
            yield f"tellerline_numbers: put {number!r} into quotes, or leading zeros are lost"
        elif not _NUMBER.fullmatch(number):
            yield f'tellerline_numbers: {number!r} is no user part of a number: give "908501234567"'
        if language not in LANGUAGES:
            yield f"tellerline_numbers: {number} is to be answered in {language!r}; there are en and tr"
    for target in (site["tellerline_transfer_target"], *site["tellerline_further_targets"]):
        if target and not _SIP_URI.fullmatch(str(target)):
            yield f"{target!r} is no SIP URI to transfer callers to: give sip:agents@pbx.bank.example"
    if site["tellerline_further_targets"] and not site["tellerline_transfer_target"]:
        yield "tellerline_further_targets are given without a tellerline_transfer_target to try first"


def _bank(hostvars: Site, groups: Groups) -> Iterator[str]:
    sandbox = set(groups.get("sandbox_bank", ()))
    for host in groups.get("data", ()):
        url = str(hostvars[host]["tellerline_bank_url"])
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            yield f"{host}: tellerline_bank_url {url!r}: {error}"
            continue
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
        if not url:
            yield (
                f"{host}: tellerline_bank_url is not set: give the address of the bank's interface "
                "(docs/bank-api.yaml), or put the data hosts into group sandbox_bank to try without one"
            )
        elif not parts.hostname or not (local or parts.scheme == "https"):
            yield f"{host}: tellerline_bank_url {url!r}: PINs go there; give https, or http on 127.0.0.1"
        elif local and sandbox and host not in sandbox:
            yield f"{host}: tellerline_bank_url is on the host itself, but it is not in group sandbox_bank"


def _data(site: Mapping[str, Any]) -> Iterator[str]:
    hosts, url = _given(site, "tellerline_database_dsn_hosts"), _given(site, "tellerline_redis_url")
    if hosts is not None and (isinstance(hosts, str) or not list(hosts)):
        yield "tellerline_database_dsn_hosts: give a list of PostgreSQL's hosts, [db1.bank.example]"
    if url is not None and not str(url).startswith(("redis://", "rediss://", "unix://")):
        yield f"tellerline_redis_url {url!r}: give rediss://host:6379/0"
    elif str(url).startswith("redis://") and urlsplit(str(url)).hostname not in ("127.0.0.1", "localhost"):
        yield f"tellerline_redis_url {url!r}: callers' words and a password go there; give rediss://"
    for sentinel in site["tellerline_redis_sentinels"]:
        if not re.fullmatch(r"[^:\s]+:\d{1,5}", str(sentinel)):
            yield f"tellerline_redis_sentinels: {sentinel!r}: give host and port, 10.20.0.5:26379"
    if site["tellerline_redis_sentinels"] and not site["tellerline_redis_sentinel_name"]:
        yield "tellerline_redis_sentinels are given without their primary's tellerline_redis_sentinel_name"
    for name in ("tellerline_transcripts_days", "tellerline_calls_days", "tellerline_recordings_days"):
        if int(site.get(name, 1)) < 1:
            yield f"{name} is {site[name]}: give one day or more"


def _given(site: Mapping[str, Any], name: str) -> Any:
    """The value; None for a default, the first data host's: Ansible works that out on a host alone."""
    try:
        value = site[name]
        str(value)
    except Exception:
        return None
    return value


def _secrets(site: Mapping[str, Any]) -> Iterator[str]:
    missing = [name for name in (*KEYS, *PASSWORDS) if not site.get(name)]
    if missing:
        yield (
            f"no {', '.join(missing)} in the site's group_vars/all/vault.yml: "
            "`ansible-playbook playbooks/vault.yml` writes a new one"
        )
    # No value is ever quoted: what is said here is printed.
    for name in KEYS:
        if name not in missing and not all(_is_key(line) for line in str(site[name]).split()):
            yield f"{name} is not 32 bytes in base64 (`head -c 32 /dev/urandom | base64` makes one)"
    for name in PASSWORDS:
        if name not in missing and not _PASSWORD.fullmatch(str(site[name])):
            yield f"{name}: give 16 or more letters and digits (and . _ ~ + / = -)"


def _bundle(site: Mapping[str, Any]) -> Iterator[str]:
    folder = Path(str(site["tellerline_bundle"]))
    if not (folder / "MANIFEST.sha256").is_file():
        yield f"tellerline_bundle {folder} holds no MANIFEST.sha256: give the folder of the bundle"
    if not site["tellerline_bundle_key"]:
        yield "tellerline_bundle_key is not set: give the second line of the builder's minisign.pub"
    elif not _is_minisign(str(site["tellerline_bundle_key"])):
        yield "tellerline_bundle_key is no key: give the second line of the builder's minisign.pub"


def _are_gpus(gpus: Any) -> bool:
    if (
        not isinstance(gpus, Sequence)
        or isinstance(gpus, str)
        or not gpus
        or len(set(map(str, gpus))) < len(gpus)
    ):
        return False
    return list(gpus) == ["cpu"] or all(_is_whole(gpu) and 0 <= int(gpu) < GPUS for gpu in gpus)


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and bool(re.fullmatch(r"\d+", str(value)))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_minisign(text: str) -> bool:
    try:
        decoded = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(decoded) == 42 and decoded[:2] == b"Ed"


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by the names templates use."""
        return {"tellerline_site_problems": problems}
