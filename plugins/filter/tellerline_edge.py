"""Jinja filters of the edge: the lanes its load balancer knows, and what is wrong with trunks."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

# What logs, tables of OpenSIPS and labels of metrics take as it is.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")

Site = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, Sequence[str]]


def edge_lanes(hostvars: Mapping[str, Mapping[str, Any]], hosts: Iterable[str]) -> list[dict[str, Any]]:
    """Every lane of `hosts`: id, host, address, port, name.

    The id is made of the lane's address and port alone: OpenSIPS counts live calls by it, so a host that is
    added or taken away must not give another lane's id to one that has calls.
    """
    lanes = []
    for host in hosts:
        address = str(hostvars[host]["tellerline_address"])
        for lane in hostvars[host]["tellerline_host_lanes"]:
            lanes.append(
                {
                    "id": lane_id(address, lane["number"]),
                    "host": host,
                    "address": address,
                    "port": lane["sip_port"],
                    "name": lane["name"],
                }
            )
    return lanes


def lane_id(address: str, number: int) -> int:
    """A number below 2^31, another for each lane of hosts that differ in their addresses' last 16 bits."""
    try:
        low = int(ipaddress.IPv4Address(address)) & 0xFFFF
    except ValueError:
        # A name: the role's preflight says that it has to be an address.
        low = 0
    return low * 1000 + number + 1


def problems(hostvars: Site, groups: Groups) -> list[str]:
    """What is wrong with trunks, with the addresses of lanes, and with the one that two edges share."""
    hosts = groups.get("all", ())
    if not hosts or "tellerline_host_lanes" not in hostvars[hosts[0]]:
        # Nothing to judge: tellerline_site_problems says why.
        return []
    site = hostvars[hosts[0]]
    found = [*_trunks(site, groups), *_lanes(hostvars, groups), *_edges(hostvars, groups)]
    if not site["tellerline_trunks"]:
        # Without edges they are the bank's own session border controllers, which talk to the lanes.
        found.append(
            "tellerline_trunks is empty, so nobody could call: name the carrier"
            + ("" if groups.get("edge") else ", or the bank's own session border controllers")
        )
    return found


def _trunks(site: Mapping[str, Any], groups: Groups) -> Iterator[str]:
    trunks = site["tellerline_trunks"]
    if isinstance(trunks, str | Mapping) or not all(isinstance(trunk, Mapping) for trunk in trunks):
        yield "tellerline_trunks: give a list, [{name: carrier, addresses: [...], tls: true, calls: 60}]"
        return
    names = Counter(str(trunk.get("name", "")) for trunk in trunks)
    for name, uses in names.items():
        if uses > 1:
            yield f"tellerline_trunks: {uses} are named {name!r}; a name is given once"
    plain: dict[str, str] = {}
    for trunk in trunks:
        name = str(trunk.get("name") or "a trunk without a name")
        yield from (
            f"tellerline_trunks: {name}: {fault}" for fault in _trunk(trunk, bool(groups.get("edge")))
        )
        for address in () if trunk.get("tls") else map(str, trunk.get("addresses") or ()):
            if address in plain:
                yield f"tellerline_trunks: {address} is of {plain[address]} and of {name}: give it to one"
            plain.setdefault(address, name)


def _trunk(trunk: Mapping[str, Any], through_edge: bool) -> Iterator[str]:
    for key in ("name", "addresses", "calls"):
        if not trunk.get(key):
            yield f"{key} is missing"
    if trunk.get("name") and not _NAME.fullmatch(str(trunk["name"])):
        yield "give a name of letters, digits, - and _, 32 at most"
    if trunk.get("calls") and (not _is_whole(trunk["calls"]) or int(trunk["calls"]) < 1):
        yield f"calls is {trunk['calls']!r}; give how many it may have at once"
    for address in (*(trunk.get("addresses") or ()), *(trunk.get("media") or ())):
        if _is_network(str(address)):
            if through_edge and ":" in str(address):
                yield f"{address} is of IPv6; the edge takes trunks of IPv4"
        elif address in (trunk.get("addresses") or ()):
            yield f"{address!r} is neither an IP address nor a network" + _masked(str(address))
    if trunk.get("tls") and not trunk.get("names"):
        yield "names is missing: whom its TLS certificate has to name"
    if trunk.get("srtp") and not trunk.get("tls"):
        yield "srtp without tls would send its keys in clear; set tls too"


def _lanes(hostvars: Site, groups: Groups) -> Iterator[str]:
    """What the edge wants of lanes' addresses: its table counts calls by their last two numbers."""
    if not groups.get("edge"):
        return
    seen: dict[int, str] = {}
    for host in (*groups.get("gpu", ()), *groups["edge"]):
        address = str(hostvars[host]["tellerline_address"])
        if not _is_address(address):
            continue
        if ":" in address:
            yield f"{host}: tellerline_address {address} is of IPv6; edges and lanes need one of IPv4"
        elif host in groups.get("gpu", ()):
            low = int(ipaddress.IPv4Address(address)) & 0xFFFF
            if low in seen and str(hostvars[seen[low]]["tellerline_address"]) != address:
                yield (
                    f"{host} and {seen[low]} have addresses that differ in their first two numbers alone: "
                    "the edge counts calls by the last two; give one of them another"
                )
            seen.setdefault(low, host)


def _edges(hostvars: Site, groups: Groups) -> Iterator[str]:
    edges = list(groups.get("edge", ()))
    if not edges:
        return
    virtual = hostvars[edges[0]]["tellerline_virtual_address"]
    if not virtual:
        if len(edges) > 1:
            yield f"{len(edges)} edges need a tellerline_virtual_address, by which the trunk finds one alive"
        return
    if not _is_address(str(virtual)):
        yield f"tellerline_virtual_address {virtual!r} is no IP address"
    elif ":" in str(virtual):
        yield f"tellerline_virtual_address {virtual} is of IPv6; edges take one of IPv4"
    for host in groups["all"]:
        own = (hostvars[host].get(name) for name in ("tellerline_address", "tellerline_trunk_address"))
        if str(virtual) in map(str, own):
            yield f"tellerline_virtual_address {virtual} is {host}'s own; give one no host has"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and bool(re.fullmatch(r"\d+", str(value)))


def _masked(text: str) -> str:
    """What was meant by an address with a mask that it has bits beyond."""
    try:
        return f"; did you mean {ipaddress.ip_network(text, strict=False)}?" if "/" in text else ""
    except ValueError:
        return ""


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by the names templates use."""
        return {"tellerline_edge_lanes": edge_lanes, "tellerline_edge_problems": problems}
