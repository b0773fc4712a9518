"""Jinja filters of the firewall: the addresses behind what a site has written, and what nobody finds."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}
# What flows may speak of beside groups: the lists of roles/nftables/vars/main.yml.
NETWORKS = frozenset(
    {"operators", "dns", "ntp", "siem", "trunks", "trunk_media", "border_controllers", "vrrp_group"}
    | {"databases", "redis_servers", "bank", "providers", "alarm_receivers"}
)
_HERE = ("127.0.0.1", "::1", "localhost")

Site = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, Sequence[str]]


def resolved(hosts: Iterable[str], names: Mapping[str, Iterable[str]]) -> list[str]:
    """Addresses and networks as they are, names replaced by their addresses in `names`; each once.

    A name that is not there stays: whoever writes a rule has to refuse it (`tellerline_unresolved`).
    """
    found: dict[str, None] = {}
    for host in hosts:
        for address in names.get(str(host), [host]):
            found.setdefault(str(address))
    return list(found)


def unresolved(hosts: Iterable[str]) -> list[str]:
    """What of `hosts` is neither an IP address nor a network."""
    return [host for host in hosts if not _is_network(host)]


def families(hosts: Iterable[str]) -> dict[str, list[str]]:
    """nftables' word for a family → the addresses of it, families without one left out."""
    sorted_out: dict[str, list[str]] = {}
    for host in hosts:
        sorted_out.setdefault("ip6" if ":" in host else "ip", []).append(host)
    return sorted_out


def host_of(url: str) -> list[str]:
    """The host of `url`, in a list; empty where it has none (a unix socket, nothing)."""
    host = urlsplit(url).hostname
    return [host] if host else []


def port_of(url: str) -> int:
    """The port of `url`, that of its scheme where it names none; 443 where that is unknown."""
    parts = urlsplit(url)
    return parts.port or _PORTS.get(parts.scheme, 443)


def database_ports(options: str) -> list[str]:
    """Ports of PostgreSQL in words of libpq ("port=6432 connect_timeout=3"); 5432 where they name none."""
    named = re.findall(r"(?:^|\s)port\s*=\s*'?([0-9,]+)", options)
    return sorted({port for ports in named for port in ports.split(",") if port}) or ["5432"]


def problems(hostvars: Site, groups: Groups) -> list[str]:
    """What of the site's network nobody could find: names without addresses, flows between nobody."""
    hosts = list(groups.get("all", ()))
    if not hosts or "tellerline_host_lanes" not in hostvars[hosts[0]]:
        # Nothing to judge: tellerline_site_problems says why.
        return []
    site = hostvars[hosts[0]]
    names = site["tellerline_names"]
    own = {*hosts, *(str(hostvars[host]["tellerline_address"]) for host in hosts)}
    if found := list(_names(names)):
        # Whoever is looked up in it would be a fault of its own.
        return found
    if not site["tellerline_operators"]:
        found.append(
            "tellerline_operators is empty, so nobody could log in any more: give networks of those who may"
        )
    for variable, given in _spoken_to(hostvars, groups):
        # A host by its own name or address is found in any case.
        strangers = unresolved(host for host in resolved(given, names) if host not in own)
        found += [_unfound(variable, host) for host in strangers if host not in _HERE]
    known = {*groups, *NETWORKS, *site.get("nftables_further_networks", {})}
    for flow in site["tellerline_further_flows"]:
        found += [
            f"tellerline_further_flows: {flow['name']}: {side} {flow[side]} is nobody; there are "
            f"{', '.join(sorted(known))}"
            for side in ("from", "to")
            if flow[side] not in known
        ]
    return list(dict.fromkeys(found))


def _names(names: Mapping[str, Any]) -> Iterator[str]:
    for name, addresses in names.items():
        if isinstance(addresses, str) or not isinstance(addresses, Sequence) or not addresses:
            yield f"tellerline_names: {name}: give its addresses as a list, [{addresses}]"
        else:
            for address in addresses:
                if not _is_network(str(address)) or "/" in str(address):
                    yield f"tellerline_names: {name}: {address!r} is no IP address"


def _unfound(variable: str, host: str) -> str:
    if variable == "tellerline_operators":
        return f"{variable}: {host!r} is neither an IP address nor a network"
    if variable == "tellerline_database_dsn_hosts" and re.fullmatch(r"[^:]+:\d+", host):
        name, _, port = host.rpartition(":")
        return f'{variable}: {host!r}: give {name}, and tellerline_database_options: "port={port}"'
    return (
        f"{variable}: {host!r} is a name without an address: put it into tellerline_names, "
        f"{{{host}: [10.20.0.5]}}; the firewall and the hosts look up no names"
    )


def _spoken_to(hostvars: Site, groups: Groups) -> Iterator[tuple[str, list[str]]]:
    """Variable → the hosts it names, of whatever the firewall has to let through."""
    site = hostvars[groups["all"][0]]
    for variable in ("tellerline_operators", "tellerline_dns_servers", "tellerline_ntp_servers"):
        yield variable, list(site[variable])
    for trunk in site["tellerline_trunks"]:
        yield f"tellerline_trunks: {trunk.get('name')}: media", list(trunk.get("media") or ())
    yield "tellerline_provider_servers", [str(one["host"]) for one in site["tellerline_provider_servers"]]
    for host in groups.get("data", ()):
        yield "tellerline_bank_url", host_of(str(hostvars[host]["tellerline_bank_url"]))
    yield from _stores(site)
    yield "rsyslog_siem_host", [site["rsyslog_siem_host"]] if site.get("rsyslog_siem_host") else []
    for host in groups.get("monitoring", ()):
        relay = str(hostvars[host].get("alertmanager_smtp_smarthost") or "")
        yield "alertmanager_smtp_smarthost", [relay.rpartition(":")[0]] if ":" in relay else []
        for variable in ("alertmanager_webhook_url", "alertmanager_watchdog_url"):
            yield variable, host_of(str(hostvars[host].get(variable) or ""))


def _stores(site: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for variable in ("tellerline_database_dsn_hosts", "tellerline_redis_url"):
        try:
            value = site[variable]
            yield variable, host_of(str(value)) if variable.endswith("url") else [str(host) for host in value]
        except Exception:
            # The default, the first data host's own: Ansible cannot work it out from another host.
            continue
    yield (
        "tellerline_redis_sentinels",
        [one.rpartition(":")[0] or one for one in site["tellerline_redis_sentinels"]],
    )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by the names templates use."""
        return {
            "tellerline_resolved": resolved,
            "tellerline_unresolved": unresolved,
            "tellerline_families": families,
            "tellerline_url_host": host_of,
            "tellerline_url_port": port_of,
            "tellerline_database_ports": database_ports,
            "tellerline_network_problems": problems,
        }
