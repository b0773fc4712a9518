"""What a lane must not do: take calls while it cannot serve them, dial where a caller says."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator

import pytest
from sip_lane import Lane
from sip_phone import LOOPBACK, Message, wait_until
from sipp import Sipp

LaneMaker = Callable[..., Lane]
SippRunner = Callable[..., Sipp]


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """A SIP port nobody may ever dial."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        yield sock


def _uri(trap: socket.socket) -> str:
    return f"sip:premium-rate@{LOOPBACK}:{trap.getsockname()[1]}"


def _received(trap: socket.socket, seconds: float) -> list[bytes]:
    """Whatever arrives within `seconds`; an INVITE would be sent within milliseconds and repeated."""
    return [trap.recv(65535)] if select.select([trap], [], [], seconds)[0] else []


def test_refer_in_a_dialog_is_declined_and_dials_nobody(
    lane: Lane, sipp: SippRunner, trap: socket.socket
) -> None:
    dialogue = sipp("inbound_refer", refer_to=_uri(trap)).finish()
    assert len(dialogue.replies("REFER", 603)) == 1
    assert dialogue.requests("NOTIFY") == []
    # The dialog took the request after the refused one.
    assert [event.digit for event in lane.wait_event(dialogue.call_id, "digit")] == ["3"]
    assert _received(trap, 2.0) == []


def test_refer_outside_a_dialog_is_declined_and_dials_nobody(lane: Lane, trap: socket.socket) -> None:
    with lane.phone() as phone:
        reply = phone.transact(phone.request("REFER", extra=f"Refer-To: <{_uri(trap)}>\r\n"))
        assert reply.status == 603
    assert _received(trap, 2.0) == []


def test_repeated_refer_gets_the_same_answer(lane: Lane, trap: socket.socket) -> None:
    with lane.phone() as phone:
        phone.invite()
        refer = phone.request("REFER", extra=f"Refer-To: <{_uri(trap)}>\r\n")
        assert [phone.transact(refer).status for _ in range(3)] == [603] * 3
        assert phone.bye().status == 200
    assert _received(trap, 1.0) == []


def test_replaces_is_declined_and_the_call_it_names_lives(lane: Lane) -> None:
    with lane.phone() as victim, lane.phone() as thief:
        victim.invite()
        to_tag = victim.to.split(";tag=")[1]
        replaces = (
            f"Replaces: {victim.call_id};to-tag={to_tag};from-tag={victim.from_tag}\r\nRequire: replaces\r\n"
        )
        assert thief.invite(extra=replaces).status == 603
        victim.talk().wait_packets(25)
        assert victim.bye().status == 200


def test_subscribe_is_declined(lane: Lane) -> None:
    with lane.phone() as phone:
        assert phone.transact(phone.request("SUBSCRIBE", extra="Event: presence\r\n")).status == 603


def _assert_unavailable(lane: Lane) -> None:
    with lane.phone() as phone:
        for reply in (phone.transact(phone.request("OPTIONS")), phone.invite()):
            assert reply.status == 503
            assert int(reply.header("Retry-After")) >= 1


def test_a_draining_lane_refuses_calls_and_keeps_its_own(make_lane: LaneMaker) -> None:
    lane = make_lane()
    with lane.phone() as phone:
        phone.invite()
        lane.drain()
        wait_until(lambda: lane.options() == 503, 3, "OPTIONS to be refused")
        _assert_unavailable(lane)
        assert lane.status().state == "draining"
        phone.talk().wait_packets(25)
        assert phone.bye().status == 200
    lane.undrain()
    wait_until(lambda: lane.options() == 200, 3, "OPTIONS to be accepted again")
    with lane.phone() as phone:
        assert phone.invite().status == 200


def test_sigterm_drains_and_ends_with_the_last_call(make_lane: LaneMaker) -> None:
    lane = make_lane()
    with lane.phone() as phone:
        phone.invite()
        lane.terminate()
        wait_until(lambda: lane.options() == 503, 3, "OPTIONS to be refused")
        _assert_unavailable(lane)
        phone.talk().wait_packets(50)
        assert lane.process.poll() is None
        assert phone.bye().status == 200
        assert lane.process.wait(10) == 0


def test_a_lane_without_its_pipeline_refuses_calls(make_lane: LaneMaker) -> None:
    lane = make_lane()
    lane.stop_pipeline()
    wait_until(lambda: lane.options() == 503, 5, "OPTIONS to be refused")
    _assert_unavailable(lane)
    lane.start_pipeline()
    wait_until(lambda: lane.options() == 200, 5, "OPTIONS to be accepted again")
    with lane.phone() as phone:
        assert phone.invite().status == 200


def test_options_says_what_the_lane_can_do(lane: Lane) -> None:
    with lane.phone() as phone:
        reply: Message = phone.transact(phone.request("OPTIONS"))
    assert reply.status == 200
    assert "INVITE" in reply.header("Allow")
