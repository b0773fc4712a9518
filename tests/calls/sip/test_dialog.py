"""What happens inside a call: hold, codec change, session timers, digits, transfer."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sip_lane import TRANSFER_TARGET, Lane
from sip_phone import PCMA, PCMU
from sipp import Sipp

from tellerline.pipeline.echo import REFERENCE

SippRunner = Callable[..., Sipp]

# RFC 7433's value, escaped as RFC 3261 section 19.1.1 wants a URI's header part.
_REFERENCE = f"{REFERENCE}%3Bencoding%3Dascii%3Bpurpose%3Dapp"


@pytest.mark.parametrize(
    ("address", "direction", "answered"),
    [
        ("127.0.0.1", "sendonly", {"recvonly"}),
        ("127.0.0.1", "inactive", {"inactive"}),
        # RFC 2543's hold. The older answer keeps sendrecv or mirrors the hold; both leave the caller held.
        ("0.0.0.0", "sendrecv", {"sendrecv", "sendonly", "recvonly", "inactive"}),
    ],
)
def test_hold_and_unhold(
    lane: Lane, sipp: SippRunner, address: str, direction: str, answered: set[str]
) -> None:
    dialogue = sipp("hold", hold_address=address, hold_direction=direction).finish()
    first, held, taken_back = dialogue.replies("INVITE", 200)
    assert held.direction() in answered
    assert first.direction() == taken_back.direction() == "sendrecv"
    assert [hold.held for hold in lane.wait_event(dialogue.call_id, "hold", 2)] == [True, False]


def test_codec_change(lane: Lane, sipp: SippRunner) -> None:
    dialogue = sipp("codec_change").finish()
    first, second = dialogue.replies("INVITE", 200)
    assert (first.media()[2][0], second.media()[2][0]) == (PCMU, PCMA)


def test_codec_change_keeps_audio_flowing(lane: Lane) -> None:
    with lane.phone() as phone:
        phone.invite(phone.sdp((PCMU, 101)))
        line = phone.talk()
        assert {p.payload_type for p in line.wait_packets(10)} == {PCMU}
        phone.invite(phone.sdp((PCMA, 101)))
        line.payload_type, line.frame = PCMA, b"\xd5" * 160
        line.wait_packets(10)
        assert {p.payload_type for p in line.wait_packets(25)} == {PCMA}


@pytest.mark.parametrize("refresher", ["uac", "uas"])
def test_session_timer_is_agreed_and_refreshed_by_the_caller(
    lane: Lane, sipp: SippRunner, refresher: str
) -> None:
    dialogue = sipp("session_timer", refresher=refresher).finish()
    answers = [*dialogue.replies("INVITE", 200), *dialogue.replies("UPDATE", 200)]
    assert len(answers) == 3
    for answer in answers:
        assert answer.header("Session-Expires").replace(" ", "") == f"90;refresher={refresher}"


def test_too_short_a_session_interval_is_refused(lane: Lane, sipp: SippRunner) -> None:
    dialogue = sipp("session_too_short").finish()
    assert int(dialogue.replies("INVITE", 422)[0].header("Min-SE")) >= 90


def _assert_no_digit_logged(lane: Lane, typed: str) -> None:
    """Neither an INFO body, nor the keys in a row, nor one behind a word for it (`digit 5`, `key='5'`)."""
    log = lane.log()
    assert log, "the connector's log is empty, so it proves nothing"
    assert "Signal=" not in log
    assert typed not in log
    assert re.findall(r"(?i)\b(?:signal|digit|dtmf|key|event)\W{1,3}[0-9*#]", log) == []


def test_digits_in_sip_info_reach_the_pipeline_and_no_log(lane: Lane, sipp: SippRunner) -> None:
    dialogue = sipp("info_digits").finish()
    assert [event.digit for event in lane.wait_event(dialogue.call_id, "digit", 3)] == ["5", "*", "7"]
    _assert_no_digit_logged(lane, "5*7")


def test_digits_in_rtp_reach_the_pipeline_and_no_log(lane: Lane) -> None:
    with lane.phone() as phone:
        phone.invite()
        line = phone.talk()
        line.wait_packets(10)
        for event in (1, 1, 10, 11, 0):  # RFC 4733: 10 is *, 11 is #
            line.digit(event)
            line.wait_packets(20)
        digits = lane.wait_event(phone.call_id, "digit", 5)
    assert [event.digit for event in digits] == ["1", "1", "*", "#", "0"]
    assert lane.of_call(phone.call_id, "attach")[0].telephone_event
    _assert_no_digit_logged(lane, "11*#0")


def test_sipps_recorded_digits_reach_the_pipeline(lane: Lane, sipp: SippRunner) -> None:
    dialogue = sipp("rtp_digits").finish()
    assert [event.digit for event in lane.wait_event(dialogue.call_id, "digit", 3)] == ["1", "9", "#"]
    _assert_no_digit_logged(lane, "19#")


def test_transfer_that_succeeds(lane: Lane, sipp: SippRunner) -> None:
    dialogue = sipp("transfer", called="transfer").finish()
    [refer] = dialogue.requests("REFER")
    assert refer.header("Refer-To") == f"<{TRANSFER_TARGET}?User-to-User={_REFERENCE}>"
    progress = lane.wait_event(dialogue.call_id, "transfer_progress")
    assert (progress[-1].sip_status, progress[-1].final) == (200, True)
    assert [p.final for p in progress].count(True) == 1


@pytest.mark.parametrize(
    ("scenario", "status"),
    [
        ("transfer_refused", 603),
        ("transfer_busy", 486),
        ("transfer_failing", 503),
        # Ten seconds without a word of how it goes.
        ("transfer_silent", 408),
    ],
)
def test_transfer_that_fails_leaves_the_call_up(
    lane: Lane, sipp: SippRunner, scenario: str, status: int
) -> None:
    dialogue = sipp(scenario, called="transfer").finish()
    progress = lane.wait_event(dialogue.call_id, "transfer_progress")
    assert (progress[-1].sip_status, progress[-1].final) == (status, True)
    assert [p.final for p in progress].count(True) == 1
    assert len(dialogue.replies("BYE", 200)) == 1


def test_lane_refreshes_the_session_when_it_is_the_refresher(lane_refresh: Sipp) -> None:
    dialogue = lane_refresh.finish()
    assert dialogue.replies("INVITE", 200)[0].header("Session-Expires").replace(" ", "") == "90;refresher=uas"
    assert len(dialogue.requests("UPDATE")) == 1
