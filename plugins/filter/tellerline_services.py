"""Jinja filter of the role `validate`: what a site says of SIEM, mail, a cluster, and files it names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Files on the control node that a site may name, each with the group whose hosts get it.
FILES = {
    "tellerline_database_authority": "data",
    "tellerline_redis_authority": "data",
    "tellerline_bank_authority": "data",
    "banking_client_certificate": "data",
    "banking_client_key": "data",
    "opensips_trunk_authority": "edge",
    "opensips_announcement": "edge",
    "rsyslog_siem_authority": "all",
}

Site = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, Sequence[str]]


def problems(hostvars: Site, groups: Groups) -> list[str]:
    """What is half said, or leads nowhere, each with its remedy."""
    found: list[str] = []
    hosts = groups.get("all", ())
    if not hosts or "tellerline_host_lanes" not in hostvars[hosts[0]]:
        # Nothing to judge: tellerline_site_problems says why.
        return []
    for host in hosts:
        found += _files(hostvars[host], host, groups)
        found += _siem(hostvars[host])
    for host in groups.get("monitoring", ()):
        found += _alarms(hostvars[host])
    for host in groups.get("edge", ()):
        found += _overflow(hostvars[host])
    for host in groups.get("gpu", ()):
        found += _cluster(hostvars[host])
    for host in groups.get("data", ()):
        found += _bank(hostvars[host])
    found += _bundle(hostvars, groups)
    found += _authority(hostvars[groups["all"][0]])
    return list(dict.fromkeys(found))


def _files(site: Mapping[str, Any], host: str, groups: Groups) -> Iterator[str]:
    for name, group in FILES.items():
        path = str(site.get(name) or "")
        if path and host in groups.get(group, ()) and not Path(path).is_file():
            yield f"{name}: there is no file {path} on this machine: give the whole path of one"


def _siem(site: Mapping[str, Any]) -> Iterator[str]:
    if site.get("rsyslog_siem_host") and not site.get("rsyslog_siem_authority"):
        yield (
            "rsyslog_siem_host is set without rsyslog_siem_authority: give the PEM file of the authority "
            "that signed its certificate, or logs would go to whoever has its address"
        )
    if bool(site.get("rsyslog_certificate")) != bool(site.get("rsyslog_key")):
        yield "rsyslog_certificate and rsyslog_key are given together, or neither"


def _alarms(site: Mapping[str, Any]) -> Iterator[str]:
    relay = str(site.get("alertmanager_smtp_smarthost") or "")
    if relay and not re.fullmatch(r"[^:\s]+:\d{1,5}", relay):
        yield f"alertmanager_smtp_smarthost {relay!r}: give host and port, mail.bank.example:587"
    if relay and not site.get("alertmanager_smtp_from"):
        yield "alertmanager_smtp_smarthost is set without alertmanager_smtp_from, whom mails come from"
    if relay and bool(site.get("alertmanager_smtp_user")) != bool(site.get("alertmanager_smtp_password")):
        yield "alertmanager_smtp_user and alertmanager_smtp_password are given together, or neither"
    if relay and not (site.get("alertmanager_mail_critical") or site.get("alertmanager_mail_warning")):
        yield "alertmanager_smtp_smarthost is set, but nobody is in alertmanager_mail_critical or _warning"
    for name in ("alertmanager_webhook_url", "alertmanager_watchdog_url"):
        # Not quoted: part of such an address is often a secret.
        if site.get(name) and not _is_url(str(site[name]), ("http", "https")):
            yield f"{name} is no address of the web: give https://host/path"
    listen = str(site.get("prometheus_listen") or "127.0.0.1:9090")
    if not re.fullmatch(r"[^:/\s]+:\d{1,5}", listen):
        yield f"prometheus_listen {listen!r}: give address and port, 127.0.0.1:9090"


def _overflow(site: Mapping[str, Any]) -> Iterator[str]:
    chosen = site.get("opensips_overflow")
    target = str(site.get("opensips_overflow_target") or "")
    if chosen == "redirect" and not re.fullmatch(r"sips?:[^<>\"\s]+", target):
        yield f"opensips_overflow is redirect, and opensips_overflow_target {target!r} is no SIP URI"
    if chosen == "queue" and not site.get("opensips_announcement"):
        yield "opensips_overflow is queue: give opensips_announcement, a WAV file those who wait are played"


def _cluster(site: Mapping[str, Any]) -> Iterator[str]:
    cluster = site.get("lane_openai") or {}
    if not cluster:
        return
    url = str(cluster.get("base_url") or "")
    if not cluster.get("chat_model"):
        yield "lane_openai: chat_model is missing: which of the cluster's models answers"
    if not site.get("vault_openai_key"):
        yield "lane_openai: put its key into the vault as vault_openai_key (any word, where it asks for none)"
    if not _is_url(url, ("https", "http")):
        yield f"lane_openai: base_url {url!r}: give https://models.bank.example:8000/v1"
        return
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
    if parts.scheme == "http" and host not in ("127.0.0.1", "::1", "localhost"):
        yield f"lane_openai: base_url {url!r}: callers' words go there; give https"
    let_out = {(str(one["host"]), int(one["port"])) for one in site["tellerline_provider_servers"]}
    if (host, port) not in let_out and host not in ("127.0.0.1", "::1", "localhost"):
        yield (
            f"lane_openai: the firewall lets nobody out to {host}:{port}: put {{host: {host}, port: {port}}} "
            "into tellerline_provider_servers"
        )


def _bank(site: Mapping[str, Any]) -> Iterator[str]:
    if bool(site.get("banking_client_certificate")) != bool(site.get("banking_client_key")):
        yield "banking_client_certificate and banking_client_key are given together, or neither"


def _authority(site: Mapping[str, Any]) -> Iterator[str]:
    if site["pki_authority"] == "bank":
        path = Path(str(site["pki_folder"])) / "authority.pem"
        if not path.is_file():
            yield f"pki_authority is bank: put the certificates of the bank's authority into {path}"


def _bundle(hostvars: Site, groups: Groups) -> Iterator[str]:
    site = hostvars[groups["all"][0]]
    try:
        about = json.loads((Path(str(site["tellerline_bundle"])) / "bundle.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # No bundle, or a damaged one: said elsewhere, by its name.
        return
    if about.get("version") != str(site["tellerline_version"]):
        yield (
            f"tellerline_bundle holds {about.get('version')}, and tellerline_version is "
            f"{site['tellerline_version']}: use the playbooks of the bundle's own control/"
        )
    lacking = [name for name in about.get("missing", ()) if name.startswith("opensips")]
    if lacking and groups.get("edge"):
        yield (
            f"the bundle was made without {', '.join(lacking)}, which group edge needs: make it again with "
            "OpenSIPS' packages (docs/bundle.md), or empty the group and point the bank's own session border "
            "controller at the lanes (docs/edge.md)"
        )
    yield from (
        f"{host} has GPUs, but the bundle was made without CUDA, so its language model would run on the "
        "processors: make it where nvcc and cuBLAS are (docs/bundle.md), or take that as it is with "
        "engine_settings: {language_model: {gpu_layers: 0}}"
        for host in groups.get("gpu", ())
        if not about.get("cuda") and _model_on_gpu(hostvars[host])
    )


def _model_on_gpu(host: Mapping[str, Any]) -> bool:
    chosen = (host.get("engine_settings") or {}).get("language_model", {}).get("gpu_layers", -1)
    return list(map(str, host["tellerline_gpus"])) != ["cpu"] and chosen != 0


def _is_url(text: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by the names templates use."""
        return {"tellerline_service_problems": problems}
