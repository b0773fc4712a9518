"""A host of lanes that dies under calls: what its callers, the others and the next one notice."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import edge_network
import pytest
from edge_lane import EdgeLane
from edge_process import Addresses, Caller, Edge, Host
from sip_phone import wait_until

_TRUNK, _EDGE = "10.78.0.10", "10.78.0.11"
_LANE_HOSTS = {"gpu1": "10.78.0.21", "gpu2": "10.78.0.22"}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces: root alone may make them")

Site = tuple[Edge, dict[str, Host], dict[str, EdgeLane], Host]


@pytest.fixture
def site(at: Addresses) -> Iterator[Site]:
    """An edge and two hosts with a lane each, every one in a network namespace."""
    trunks = [{"name": "carrier", "addresses": [_TRUNK], "calls": 20}]
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(edge_network.hosts([_TRUNK], {"edge": _EDGE, **_LANE_HOSTS}))
        world, edge_host, *lane_hosts = made
        lanes = {}
        for name, host in zip(_LANE_HOSTS, lane_hosts, strict=True):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tlsip-"))
            with host.entered():
                lanes[name] = EdgeLane(Path(folder), host.address)
            stack.callback(lanes[name].close)
        addresses = [lane.address for lane in lanes.values()]
        edge = stack.enter_context(Edge(at, addresses, host=edge_host, trunks=trunks))
        yield edge, dict(zip(_LANE_HOSTS, lane_hosts, strict=True)), lanes, world


def _phone(world: Host) -> Caller:
    with world.entered():
        return Caller((_EDGE, 5060), "echo", _TRUNK)


def test_a_host_that_dies_costs_its_own_calls_and_nobody_elses(site: Site) -> None:
    edge, hosts, lanes, world = site
    with _phone(world) as one, _phone(world) as two:
        assert [one.invite().status, two.invite().status] == [200, 200]
        lost, kept = (one, two) if lanes["gpu1"].of_call(one.call_id, "attach") else (two, one)
        kept.talk().wait_packets(10)
        edge_network.kill(hosts["gpu1"])
        died = time.monotonic()
        # The next caller is offered the dead host first: it has the same room as the other.
        with _phone(world) as following:
            began = time.monotonic()
            assert following.invite().status == 200
            took = time.monotonic() - began
            following.talk().wait_packets(10)
        assert took < 2.5
        assert lost.wait_bye(10), "the caller of the dead host heard nothing for ten seconds"
        ended = time.monotonic() - died
        assert ended < 10
        print(f"next call after {took:.2f} s, calls ended after {ended:.1f} s", file=sys.stderr)
        packets = list(kept.talk().packets)
        # All the while: not one packet of a call on the other host was lost or late.
        assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))
        assert max(later.at - earlier.at for earlier, later in pairwise(packets)) < 0.2
        assert packets[-1].at > died + ended - 0.2
    wait_until(lambda: (edge.calls(), _load(edge)) == (0, 0), 10, "the load to return to 0")


def _load(edge: Edge) -> int:
    return sum(lane["calls"] for lane in edge.lanes().values())
