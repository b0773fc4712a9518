"""Secrets on the keypad, between a connector, a pipeline that may die, and banking's side of the wire."""

from __future__ import annotations

import re

from lane_processes import LaneMaker, LaneProcesses
from sip_phone import PCMU, Phone, wait_until
from stand_in_services import SecretInput

from tellerline.rpc import banking_pb2
from tellerline.settings import ServiceAddresses

Banking = tuple[SecretInput, ServiceAddresses]
_ACCEPTED, _REJECTED, _TIMED_OUT, _CANCELLED, _UNAVAILABLE = 1, 2, 3, 4, 5


def _type(phone: Phone, keys: str) -> None:
    for key in keys:
        # RFC 4733 section 3.2: star is event 10, hash is event 11.
        phone.talk().digit("0123456789*#".index(key))


def _outcome(lane: LaneProcesses, outcome: int, seconds: float = 5.0) -> None:
    wait_until(
        lambda: f"dark input: outcome {outcome}" in lane.log("pipeline"), seconds, f"outcome {outcome}"
    )


def _no_digit_logged(lane: LaneProcesses, typed: str) -> None:
    for daemon in ("connector", "pipeline"):
        assert re.findall(rf"\b{typed}\b|(?i:digit|dtmf|key)\W{{1,3}}[0-9]\b", lane.log(daemon)) == []


def _collecting(lane: LaneProcesses) -> None:
    """The pipeline asks a second after it has the call; what is typed before that is typed ahead."""
    wait_until(lambda: "dark input" in lane.log("pipeline"), 5, "the call to be attached")


def test_digits_typed_ahead_and_in_time_reach_banking_alone(make_lane: LaneMaker, banking: Banking) -> None:
    secrets, address = banking
    lane = make_lane(banking=address)
    with lane.phone("pin") as phone:
        assert phone.invite().status == 200
        _collecting(lane)
        _type(phone, "1234")
        _outcome(lane, _ACCEPTED)
        [request] = secrets.asked
        assert (request.digits, request.purpose, request.caller) == (b"1234", "pin", "phone")
        assert request.call_id == lane.wait_record("open")["call_id"]
        # Afterwards this pipeline opens a menu, and keys go up.
        _type(phone, "7")
        phone.talk().wait_packets(20)
    wait_until(lambda: "1 digits heard" in lane.log("pipeline"), 5, "the call's end")
    assert lane.wait_record("closed")["digits"] == 5
    _no_digit_logged(lane, "1234")


def test_a_rejected_secret_is_told_as_rejected(make_lane: LaneMaker, banking: Banking) -> None:
    secrets, address = banking
    secrets.outcome = banking_pb2.SecretReply.REJECTED
    lane = make_lane(banking=address)
    with lane.phone("pin") as phone:
        phone.invite()
        _type(phone, "9999")
        _outcome(lane, _REJECTED)


def test_dark_input_survives_the_pipelines_death(make_lane: LaneMaker, banking: Banking) -> None:
    secrets, address = banking
    lane = make_lane(banking=address)
    with lane.phone("secret") as phone:
        phone.invite()
        _collecting(lane)
        _type(phone, "123456")
        phone.talk().wait_packets(60)
        lane.kill_pipeline()
        _type(phone, "789")
        lane.start_pipeline()
        wait_until(lambda: "resume=True, dark input 1" in lane.log("pipeline"), 10, "the new attach")
        _type(phone, "012")
        _outcome(lane, _ACCEPTED)
    assert [request.digits for request in secrets.asked] == [b"123456789012"]
    wait_until(lambda: "0 digits heard" in lane.log("pipeline"), 5, "the call's end")


def test_a_result_waits_for_the_next_pipeline(make_lane: LaneMaker, banking: Banking) -> None:
    secrets, address = banking
    lane = make_lane(banking=address)
    with lane.phone("secret") as phone:
        phone.invite()
        _collecting(lane)
        lane.kill_pipeline()
        _type(phone, "123456789012")
        wait_until(lambda: len(secrets.asked) == 1, 5, "banking to be asked")
        lane.start_pipeline()
        _outcome(lane, _ACCEPTED, seconds=10)
    assert "resume=True, dark input 1" in lane.log("pipeline")


def test_a_secret_that_is_not_finished_times_out(make_lane: LaneMaker, banking: Banking) -> None:
    secrets, address = banking
    lane = make_lane(banking=address)
    with lane.phone("pin") as phone:
        phone.invite()
        _type(phone, "12")
        _outcome(lane, _TIMED_OUT, seconds=15)
        # What was typed of it is gone: it is no menu's and no other secret's.
        _type(phone, "3")
        phone.talk().wait_packets(20)
    wait_until(lambda: "1 digits heard" in lane.log("pipeline"), 5, "the call's end")
    assert secrets.asked == []


def test_hash_alone_ends_it_unchecked(make_lane: LaneMaker, banking: Banking) -> None:
    secrets, address = banking
    lane = make_lane(banking=address)
    with lane.phone("secret") as phone:
        phone.invite()
        _collecting(lane)
        _type(phone, "12*#")
        _outcome(lane, _CANCELLED)
    assert secrets.asked == []


def test_a_call_whose_keys_are_no_events_is_asked_for_no_secret(
    make_lane: LaneMaker, banking: Banking
) -> None:
    secrets, address = banking
    lane = make_lane(banking=address)
    with lane.phone("pin") as phone:
        phone.invite(phone.sdp((PCMU,)).replace("a=rtpmap:101 telephone-event/8000\r\n", ""))
        for _ in range(4):
            assert phone.transact(phone.request("INFO", "1", content="application/dtmf")).status == 200
        _outcome(lane, _UNAVAILABLE)
    assert secrets.asked == []
    wait_until(lambda: "0 digits heard" in lane.log("pipeline"), 5, "the call's end")


def test_without_banking_no_secret_is_asked_for(make_lane: LaneMaker) -> None:
    lane = make_lane()
    with lane.phone("pin") as phone:
        phone.invite()
        _outcome(lane, _UNAVAILABLE)


def test_with_banking_away_the_secret_is_unavailable(make_lane: LaneMaker) -> None:
    lane = make_lane(banking=ServiceAddresses(addresses=("unix:/nonexistent/a", "unix:/nonexistent/b")))
    with lane.phone("pin") as phone:
        phone.invite()
        _type(phone, "1234")
        _outcome(lane, _UNAVAILABLE, seconds=15)
    _no_digit_logged(lane, "1234")


def test_a_dead_instance_of_banking_is_passed_over(make_lane: LaneMaker, banking: Banking) -> None:
    secrets, address = banking
    lane = make_lane(banking=ServiceAddresses(addresses=("unix:/nonexistent/a", *address.addresses)))
    with lane.phone("pin") as phone:
        phone.invite()
        _type(phone, "1234")
        _outcome(lane, _ACCEPTED, seconds=15)
    assert len(secrets.asked) == 1
