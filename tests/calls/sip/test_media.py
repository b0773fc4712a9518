"""RTP: addresses and ports, pace, where replies go, silence."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import pairwise

import pytest
from sip_lane import Lane
from sip_phone import LOOPBACK, PCMU, TELEPHONE_EVENT, Line

LaneMaker = Callable[..., Lane]


@pytest.mark.parametrize("called", ["echo", "silent"])
def test_rtp_is_continuous_and_paced_even_when_nobody_speaks(lane: Lane, called: str) -> None:
    with lane.phone(called) as phone:
        phone.invite()
        packets = phone.talk().wait_packets(150)
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets)), "a packet is missing"
    assert all((b.timestamp - a.timestamp) & 0xFFFFFFFF == 160 for a, b in pairwise(packets))
    assert len({p.ssrc for p in packets}) == 1
    # 149 intervals of 20 ms; a sender that bursts or stalls is far off.
    assert packets[-1].at - packets[0].at == pytest.approx(149 * 0.02, abs=0.15)


def test_rtp_comes_before_the_caller_speaks(lane: Lane) -> None:
    with lane.phone("silent") as phone:
        phone.invite()
        phone.talk().sending = False
        assert len(phone.talk().wait_packets(25)) == 25


def test_replies_go_where_rtp_comes_from(lane: Lane) -> None:
    """Symmetric RTP (RFC 4961): behind a NAT the SDP's port is not where packets come from."""
    with lane.phone() as phone, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOOPBACK, 0))
        answer = phone.invite()
        phone.talk().sending = False
        address, port, _ = answer.media()
        line = Line((address, port), other)
        try:
            line.wait_packets(50)
        finally:
            line.close()


def test_media_address_is_the_configured_one(make_lane: LaneMaker) -> None:
    lane = make_lane(public_host="127.0.0.9")
    with lane.phone() as phone:
        answer = phone.invite()
        assert answer.media()[0] == "127.0.0.9"
        assert "127.0.0.9" in answer.header("Contact")
        # The advertised address is of a relay in front; this one hears on the real one.
        phone.talk().remote = (LOOPBACK, answer.media()[1])


def test_rtp_ports_are_in_the_lanes_range_and_used_again(lane: Lane) -> None:
    ports = []
    for _ in range(3):
        phones = [lane.phone() for _ in range(4)]
        try:
            ports += [phone.invite().media()[1] for phone in phones]
        finally:
            for phone in phones:
                phone.__exit__()
        lane.wait_idle()
    assert all(lane.rtp_first <= port < lane.rtp_first + lane.rtp_count for port in ports)
    assert all(port % 2 == 0 for port in ports), "RFC 3550 11: RTP on even ports"
    assert all(len(set(ports[at : at + 4])) == 4 for at in (0, 4, 8))


def test_rtp_silence_ends_the_call_but_not_on_hold(make_lane: LaneMaker) -> None:
    lane = make_lane(rtp_silence_seconds=1.5)
    with lane.phone() as held, lane.phone() as silent:
        held.invite()
        held.talk().wait_packets(10)
        held.invite(held.sdp((PCMU, TELEPHONE_EVENT), extra="a=sendonly\r\n"))
        lane.wait_event(held.call_id, "hold")
        held.talk().sending = False
        silent.invite()
        silent.talk().wait_packets(10)
        silent.talk().sending = False
        assert silent.wait_bye(8)
        # Held for as long as the other call took to end, and asked for once more.
        assert held.receive(lambda m: m.method == "BYE" and not m.status, 3) is None
        held.talk().sending = True
        assert held.invite(held.sdp((PCMU, TELEPHONE_EVENT))).status == 200
        held.talk().wait_packets(10)
        held.talk().sending = False
        assert held.wait_bye(8)


def test_a_call_that_never_sends_rtp_ends(make_lane: LaneMaker) -> None:
    lane = make_lane(rtp_silence_seconds=1.5)
    with lane.phone() as phone:
        phone.invite()
        phone.talk().sending = False
        assert phone.wait_bye(8)
