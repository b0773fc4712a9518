"""Jinja filter of the role `opensips`: the lanes of a site, as its load balancer knows them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any


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


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by the name templates use."""
        return {"tellerline_edge_lanes": edge_lanes}
