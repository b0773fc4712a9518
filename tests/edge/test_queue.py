"""Callers who wait for a lane: what they hear, and what becomes of them."""

from __future__ import annotations

import math
import re
import struct
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_process import Addresses, Caller, Edge
from sip_end import SipEnd
from sip_phone import Message, wait_until


@pytest.fixture
def queue(at: Addresses, tmp_path: Path) -> Iterator[Edge]:
    """An edge whose only lane takes one call, and has two wait for four seconds."""
    with SipEnd(at(31)) as lane:
        edge = Edge(
            at,
            [lane.address],
            lane_calls=1,
            overflow="queue",
            announcement="given",
            queue_seconds=4,
            queue_calls=2,
        )
        with wave.open(str(edge.folder / "tellerline" / "announcement.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            tone = (int(8000 * math.sin(n * 0.5)) for n in range(8000))
            file.writeframes(b"".join(struct.pack("<h", sample) for sample in tone))
        with edge:
            yield edge


def _wait(phone: Caller) -> Message:
    """Dials; gives back the 183."""
    phone.send(phone.request("INVITE", phone.sdp()))
    ringing = phone.receive(lambda m: m.status == 183, 3)
    assert ringing is not None, "no 183"
    return ringing


def _final(phone: Caller, seconds: float) -> Message:
    final = phone.receive(lambda m: m.status >= 200 and m.method == "INVITE", seconds)
    assert final is not None
    phone.to = final.header("To")
    contact = re.search(r"<(sip:[^>]+)>", final.header("Contact"))
    if final.status == 200 and contact is not None:
        phone.target, phone.up = contact[1], True
    phone.send(phone.request("ACK", cseq=phone.cseq))
    return final


def test_who_waits_hears_so_and_is_answered_when_a_lane_is_free(queue: Edge) -> None:
    with queue.phone() as first, queue.phone() as second:
        assert first.invite().status == 200
        first.talk().sending = False
        ringing = _wait(second)
        address, port, _ = ringing.media()
        assert address == queue.address
        second.start_line((address, port))
        packets = second.talk().wait_packets(30)
        assert len({bytes(packet.payload) for packet in packets}) > 5, "only silence is played"
        first.bye()
        assert _final(second, 3).status == 200
        assert next(iter(queue.lanes().values()))["calls"] == 1
    wait_until(lambda: (queue.calls(), queue.media()) == (0, 0), 5, "the edge to forget the calls")


def test_who_waits_in_vain_is_refused_in_the_end(queue: Edge) -> None:
    with queue.phone() as first, queue.phone() as second:
        assert first.invite().status == 200
        first.talk().sending = False
        _wait(second)
        began = time.monotonic()
        final = _final(second, 10)
        assert (final.status, final.header("Retry-After")) == (503, "5")
        assert time.monotonic() - began > 2
        wait_until(lambda: (queue.calls(), queue.media()) == (1, 1), 5, "the edge to forget the one refused")


def test_the_queue_has_an_end(queue: Edge) -> None:
    with queue.phone() as first, queue.phone() as second, queue.phone() as third, queue.phone() as fourth:
        assert first.invite().status == 200
        first.talk().sending = False
        _wait(second)
        _wait(third)
        fourth.send(fourth.request("INVITE", fourth.sdp()))
        assert _final(fourth, 3).status == 503
        for phone in (second, third):
            assert _final(phone, 10).status == 503


def test_who_gives_up_is_gone(queue: Edge) -> None:
    with queue.phone() as first, queue.phone() as second:
        assert first.invite().status == 200
        first.talk().sending = False
        invite = second.request("INVITE", second.sdp())
        second.send(invite)
        assert second.receive(lambda m: m.status == 183, 3) is not None
        [branch] = re.findall(rb"branch=(\S+)", invite)
        cancel = re.sub(r"branch=\S+", f"branch={branch.decode()}", second.request("CANCEL", cseq=1).decode())
        second.send(cancel.encode())
        assert _final(second, 5).status == 487
        wait_until(lambda: (queue.calls(), queue.media()) == (1, 1), 5, "the edge to forget who gave up")
        # The next who waits gets the lane, which takes one call: who is not there any more did not get it.
        with queue.phone() as third:
            _wait(third)
            first.bye()
            assert _final(third, 6).status == 200
            third.bye()
        wait_until(lambda: (queue.calls(), queue.media()) == (0, 0), 5, "the edge to forget the calls")
