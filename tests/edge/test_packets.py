"""Packets of sound: how they are marked for routers on their way, and how long they may be."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import edge_network
import pytest
import yaml
from edge_lane import EdgeLane
from edge_process import RELAY, Addresses, Edge, render
from sip_end import SipEnd
from sip_phone import rtp

_EXPEDITED_FORWARDING = 46
# <linux/in.h>; Python has no name for it.
_IP_RECVTOS = 13


def _marked(channel: socket.socket, seconds: float = 3.0) -> tuple[bytes, int, tuple[str, int]]:
    """A packet, its DSCP (RFC 2474), and where it came from."""
    channel.settimeout(seconds)
    data, notes, _, source = channel.recvmsg(2048, 256)
    [tos] = [note[0] for level, kind, note in notes if (level, kind) == (socket.IPPROTO_IP, socket.IP_TOS)]
    return data, tos >> 2, source


def _listen(address: tuple[str, int]) -> socket.socket:
    channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    channel.setsockopt(socket.IPPROTO_IP, _IP_RECVTOS, 1)
    channel.bind(address)
    return channel


def test_sound_is_expedited_both_ways(at: Addresses) -> None:
    with (
        SipEnd(at(34)) as end,
        contextlib.closing(_listen((at(34), 40000))) as lane,
        Edge(at, [end.address]) as edge,
        edge.phone() as phone,
    ):
        phone.media.setsockopt(socket.IPPROTO_IP, _IP_RECVTOS, 1)
        address, port, _ = phone.invite().media()
        assert phone.line is not None
        # From here on the test itself reads what arrives.
        phone.line.close()
        phone.line = None
        for number in range(5):
            phone.media.sendto(rtp(b"\xff" * 160, number, number * 160), (address, port))
        _, inside, edges = _marked(lane)
        for number in range(5):
            lane.sendto(rtp(b"\xff" * 160, number, number * 160), edges)
        _, outside, _ = _marked(phone.media)
    assert (inside, outside) == (_EXPEDITED_FORWARDING, _EXPEDITED_FORWARDING)


def test_a_lanes_own_sound_is_expedited(at: Addresses, make_lane) -> None:  # type: ignore[no-untyped-def]
    lane: EdgeLane = make_lane(25)
    with lane.phone() as phone:
        phone.media.setsockopt(socket.IPPROTO_IP, _IP_RECVTOS, 1)
        assert phone.invite().status == 200
        assert phone.line is not None
        phone.line.close()
        phone.line = None
        assert _marked(phone.media)[1] == _EXPEDITED_FORWARDING


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces: root alone may make them")
@pytest.mark.skipif(shutil.which("nft") is None, reason="nftables is not installed")
def test_what_is_longer_than_sound_is_dropped(tmp_path: Path) -> None:
    values = yaml.safe_load((RELAY / "defaults" / "main.yml").read_text())
    rules = tmp_path / "rtpengine.nft"
    rules.write_text(render(RELAY, "etc/nftables.d/rtpengine.nft.j2", values))
    first, longest = values["rtpengine_port_min"], values["rtpengine_packet_bytes"]
    # UDP's own header counts.
    payload = longest - 8
    # 60 ms of G.711, the headers of RTP, a tag of SRTP.
    assert payload >= 12 + 480 + 10
    with edge_network.hosts(["10.79.0.10"], {"edge": "10.79.0.11"}) as (world, edge):
        for _ in range(2):
            # Read again, as after a change, it replaces itself.
            subprocess.run(["ip", "netns", "exec", edge.name, "nft", "-f", str(rules)], check=True)
        with edge.entered():
            ears = [_listen((edge.address, port)) for port in (first, values["rtpengine_port_max"], 5060)]
        with world.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            for ear in ears:
                for size in (payload + 1, 1400, payload):
                    mouth.sendto(bytes(size), ear.getsockname())
        heard = []
        for ear in ears:
            heard.append([len(_marked(ear)[0])])
            ear.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                while True:
                    heard[-1].append(len(ear.recv(2048)))
            ear.close()
    assert heard == [[payload], [payload], [payload + 1, 1400, payload]]
