"""Two edges that share an address, each in a network namespace: one dies, or is taken out under a call."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import edge_network
import pytest
import yaml
from edge_process import ROLE, ROOT, Addresses, Caller, Edge, Host, command, render
from sip_end import SipEnd
from sip_phone import Message, wait_until

_KEEPALIVED = ROOT / "roles" / "keepalived"
_VIRTUAL, _TRUNK, _LANE = "10.77.0.1", "10.77.0.10", "10.77.0.21"
# <linux/if_ether.h>, and IP's number of the protocol.
_ETH_P_ALL, _VRRP = 3, 112

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces: root alone may make them"),
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
]


@pytest.fixture
def network() -> Iterator[tuple[Host, Host, Host]]:
    """The world (trunk, lane, bridge) and two edges. Nothing of it is on this machine's own network."""
    addresses = {"edge1": "10.77.0.11", "edge2": "10.77.0.12"}
    with edge_network.hosts((_TRUNK, _LANE), addresses) as made:
        for host in made[1:]:
            allow = ["sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1"]
            subprocess.run(["ip", "netns", "exec", host.name, *allow], check=True)
        yield made[0], made[1], made[2]


def _keepalived(edge: Edge, peer: str) -> subprocess.Popen[bytes]:
    assert edge.host is not None
    values = yaml.safe_load((_KEEPALIVED / "defaults" / "main.yml").read_text())
    values.update(
        inventory_hostname=edge.host.name,
        keepalived_interface="eth0",
        keepalived_virtual_address=_VIRTUAL,
        keepalived_address=edge.address,
        keepalived_peers=[peer],
    )
    text = render(_KEEPALIVED, "etc/keepalived/keepalived.conf.j2", values)
    program = ROLE / "files" / "tellerline_edge.py"
    asks = f"/usr/bin/python3 {program} --settings {edge.folder}/edge.json alive"
    config = edge.folder / "keepalived.conf"
    config.write_text(text.replace("/usr/local/sbin/tellerline-edge alive", asks))
    run = ["keepalived", "--dont-fork", "--log-console", f"--use-file={config}", "--vrrp"]
    run += [f"--pid={edge.folder}/keepalived.pid", f"--vrrp_pid={edge.folder}/vrrp.pid"]
    return edge.run(run)


Pair = tuple[Edge, Edge, SipEnd, Callable[[], Caller]]


@pytest.fixture
def pair(at: Addresses, network: tuple[Host, Host, Host]) -> Iterator[Pair]:
    """Two edges in front of one lane; the first has the shared address."""
    world, *hosts = network
    trunks = [{"name": "carrier", "addresses": [_TRUNK], "calls": 20}]
    with contextlib.ExitStack() as stack:
        with world.entered():
            lane = stack.enter_context(SipEnd(_LANE))
        edges = []
        for number, host in enumerate(hosts):
            edge = Edge(at, [lane.address], host=host, trunks=trunks, virtual_address=_VIRTUAL)
            edges.append(stack.enter_context(edge))
            keepalived = _keepalived(edge, hosts[1 - number].address)
            stack.callback(_ended, keepalived)
            if number == 0:
                wait_until(
                    lambda: _holds(hosts[0]), 15, f"the first edge to take the address:\n{edge.log()[-2000:]}"
                )

        def phone() -> Caller:
            with world.entered():
                return Caller((_VIRTUAL, 5060), "echo", _TRUNK)

        yield edges[0], edges[1], lane, phone


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(10)


def _holds(host: Host) -> bool:
    return f"{_VIRTUAL}/" in edge_network.ip("-n", host.name, "-4", "address", "show", "dev", "eth0")


def _wait_advertised(world: Host, link: str, address: str, times: int) -> None:
    """Returns when the edge at `address` has said so often that it has the shared one (VRRP)."""
    with world.entered():
        # Without the Ethernet header. Who asks for IP alone hears nothing of what a bridge forwards.
        heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
    with heard:
        heard.bind((link, _ETH_P_ALL))
        heard.settimeout(5)
        deadline = time.monotonic() + 15
        while times:
            assert time.monotonic() < deadline, f"{address} has stopped saying so"
            packet = heard.recv(2048)
            times -= packet[9] == _VRRP and packet[12:16] == socket.inet_aton(address)


def _seconds_until_answered(phone: Callable[[], Caller], limit: float) -> float:
    began = time.monotonic()
    while time.monotonic() - began < limit:
        with phone() as caller:
            caller.send(caller.request("INVITE", caller.sdp()))
            answer = caller.receive(lambda m: m.status >= 200, 0.5)
            if answer is not None and answer.status == 200:
                caller.to, caller.up = answer.header("To"), True
                caller.target = answer.header("Contact").partition("<")[2].partition(">")[0]
                caller.send(caller.request("ACK", cseq=caller.cseq))
                return time.monotonic() - began
    return limit


def test_a_dead_edge_is_replaced_within_five_seconds(pair: Pair) -> None:
    first, second, _, phone = pair
    assert _seconds_until_answered(phone, 5) < 5
    assert first.host is not None and second.host is not None
    # A host that is gone: nothing of it runs, and nothing arrives.
    edge_network.kill(first.host)
    took = _seconds_until_answered(phone, 15)
    print(f"answered {took:.1f} s after the death of an edge", file=sys.stderr)
    assert took < 5
    assert _holds(second.host)


@pytest.mark.parametrize("which", ["opensips", "rtpengine"])
def test_an_edge_without_one_of_its_daemons_gives_the_address_away(pair: Pair, which: str) -> None:
    first, second, _, phone = pair
    assert second.host is not None and first.rtpengine is not None
    if which == "opensips":
        first.kill()
    else:
        first.rtpengine.kill()
        first.rtpengine.wait()
    took = _seconds_until_answered(phone, 20)
    assert took < 8
    assert _holds(second.host)


def test_two_edges_that_both_fail_their_check_keep_the_address(
    pair: Pair, network: tuple[Host, Host, Host]
) -> None:
    first, second, _, phone = pair
    assert first.host is not None and second.host is not None
    for edge in (second, first):
        command.leave(edge.settings, True)
        wait_until(lambda at=edge: "effective priority from 100 to 50" in at.log(), 15, "the check to fail")
    # Longer than the other edge would wait before it took an address that nobody has.
    _wait_advertised(network[0], "to1", first.address, 8)
    assert _holds(first.host) and not _holds(second.host)
    assert _seconds_until_answered(phone, 5) < 5


def test_a_lane_can_end_its_call_at_an_edge_that_is_taken_out(
    pair: Pair, network: tuple[Host, Host, Host]
) -> None:
    """What goes to the trunk leaves by the edge's own address too: the shared one is elsewhere by then."""
    first, second, lane, phone = pair
    assert first.host is not None and second.host is not None
    with phone() as caller:
        assert caller.invite().status == 200
        command.leave(first.settings, True)
        wait_until(lambda: _holds(second.host) and not _holds(first.host), 15, "the address to move")  # type: ignore[arg-type]
        (invite,) = lane.of("INVITE")

        def end() -> Message | None:
            with network[0].entered():
                return lane.send("BYE", invite)

        with ThreadPoolExecutor() as beside:
            ended = beside.submit(end)
            assert caller.wait_bye()
            answer = ended.result()
        assert answer is not None and answer.status == 200
    wait_until(lambda: first.calls() == 0, 5, "the call to end")


def test_calls_go_on_at_an_edge_that_is_taken_out(pair: Pair, network: tuple[Host, Host, Host]) -> None:
    first, second, _, phone = pair
    assert first.host is not None and second.host is not None
    with phone() as caller:
        answer = caller.invite()
        assert answer.status == 200
        # In-call requests and sound go to the edge's own address, wherever the shared one is.
        assert f"@{first.address}" in answer.header("Contact") or f":{first.address}" in answer.header(
            "Contact"
        )
        assert answer.media()[0] == first.address
        caller.talk().sending = False
        command.leave(first.settings, True)
        wait_until(lambda: _holds(second.host) and not _holds(first.host), 15, "the address to move")  # type: ignore[arg-type]
        assert _seconds_until_answered(phone, 5) < 5
        assert (first.calls(), second.calls()) == (1, 0)
        held = caller.invite(caller.sdp(extra="a=sendonly\r\n"))
        assert held.status == 200
        assert caller.bye().status == 200
    wait_until(lambda: first.calls() == 0, 5, "the call to end")
    command.wait_empty(first.settings["socket"], 5)
    # Back, and the other keeps the address: nobody's call is moved for order's sake.
    log_so_far = len(first.log())
    command.leave(first.settings, False)
    wait_until(
        lambda: "effective priority from 50 to 100" in first.log()[log_so_far:],
        15,
        "the first edge to be ready for the address",
    )
    # An edge that wants it back takes it after the time of four advertisements, whoever sends them.
    _wait_advertised(network[0], "to2", second.address, 8)
    assert _holds(second.host) and not _holds(first.host)
