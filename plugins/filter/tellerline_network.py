"""Jinja filters of the firewall: which addresses stand behind what a site has written."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}


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
        }
