"""Calls through the edge to a real lane: what the caller gets, and what the lane is shown."""

from __future__ import annotations

import re

import pytest
from edge_lane import EdgeLane
from edge_process import Caller, Edge, command
from sip_phone import PCMA, PCMU, wait_until

Lanes = tuple[EdgeLane, EdgeLane]


def test_a_call_is_answered_and_its_sound_comes_back(edge: Edge) -> None:
    with edge.phone() as phone:
        answer = phone.invite()
        assert answer.status == 200, answer.start
        host, _, formats = answer.media()
        assert (host, formats) == (edge.address, [PCMU, 101])
        packets = phone.talk().wait_packets(50)
        assert {packet.source[0] for packet in packets} == {edge.address}
        assert (edge.media(), edge.calls()) == (1, 1)
    wait_until(lambda: edge.calls() == 0, 5, "the edge to forget the call")
    assert edge.media() == 0


def test_an_operator_sees_which_side_is_silent(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    with edge.phone() as heard, edge.phone() as silent:
        for phone in (heard, silent):
            assert phone.invite().status == 200
        silent.talk().sending = False
        heard.talk().wait_packets(30)
        found = {row["call"]: row for row in command.sound(edge.settings)}
        assert set(found) == {heard.call_id, silent.call_id}
        assert found[heard.call_id]["trunk"]["from"] == f"{heard.host}:{heard.media_port}"
        assert min(found[heard.call_id][side]["packets"] for side in ("trunk", "lane")) >= 20
        # A frame may have gone before it was told to be silent.
        assert found[silent.call_id]["trunk"]["packets"] <= 3
        command.show_sound(edge.settings, as_json=False)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split()[:3] == ["CALL", "SECONDS", "SIDE"]
        assert len(lines) == 5


def test_calls_are_spread_over_the_lanes(edge: Edge, lanes: Lanes) -> None:
    with edge.phone() as one, edge.phone() as two, edge.phone() as three, edge.phone() as four:
        for phone in (one, two, three, four):
            assert phone.invite().status == 200
        assert [len(lane.status().calls) for lane in lanes] == [2, 2]
        assert [lane["calls"] for lane in edge.lanes().values()] == [2, 2]
    wait_until(lambda: [lane["calls"] for lane in edge.lanes().values()] == [0, 0], 5, "the load to return")


def test_the_caller_learns_nothing_of_the_lanes(edge: Edge, lanes: Lanes) -> None:
    with edge.phone() as phone:
        answer = phone.invite()
        assert answer.status == 200
        text = "\n".join([*(f"{key}: {value}" for key, value in answer.headers), answer.body])
        for lane in lanes:
            assert lane.address[0] not in text
        assert edge.inside not in text
        assert not re.search(r"(?i)pjsip|pjmedia|pjsua|tellerline", text)
        assert not answer.all("Record-Route")
        assert answer.header("Contact").startswith(f"<sip:{edge.address}")


def test_the_lane_is_told_the_number_dialled(edge: Edge, lanes: Lanes) -> None:
    with edge.phone(called="908501234567") as phone:
        assert phone.invite().status == 200
        wait_until(lambda: any(_attached(lane, phone) for lane in lanes), 5, "a lane to hear of the call")
        assert [called for lane in lanes for called in _attached(lane, phone)] == ["908501234567"]


def _attached(lane: EdgeLane, phone: Caller) -> list[str]:
    return [event.called for event in lane.of_call(phone.call_id, "attach")]


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_digits_reach_the_lane(edge: Edge, lanes: Lanes, codec: int) -> None:
    with edge.phone() as phone:
        phone.invite(phone.sdp((codec, 101)))
        line = phone.talk()
        line.wait_packets(10)
        for event in (1, 9, 11):
            line.digit(event)
            line.wait_packets(20)
        wait_until(
            lambda: sum(len(lane.of_call(phone.call_id, "digit")) for lane in lanes) == 3, 5, "three digits"
        )


def test_hold_takes_effect_and_ends(edge: Edge, lanes: Lanes) -> None:
    with edge.phone() as phone:
        phone.invite()
        phone.talk().wait_packets(10)
        held = phone.invite(phone.sdp(extra="a=sendonly\r\n"))
        assert held.direction() in ("recvonly", "inactive")
        assert phone.invite().direction() == "sendrecv"
        phone.talk().wait_packets(10)
        wait_until(
            lambda: sum(len(lane.of_call(phone.call_id, "hold")) for lane in lanes) == 2,
            5,
            "hold and its end",
        )


def test_the_lane_hangs_up(edge: Edge, lanes: Lanes) -> None:
    with edge.phone(called="hangup") as phone:
        assert phone.invite().status == 200
        # The echo conversation hangs up when this is dialled.
        assert phone.wait_bye(10)
    wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 5, "the edge to forget the call")


def test_a_call_cancelled_while_it_rings(edge: Edge, lanes: Lanes) -> None:
    with lanes[0].server.admission_held(), lanes[1].server.admission_held(), edge.phone() as phone:
        invite = phone.request("INVITE", phone.sdp())
        phone.send(invite)
        assert phone.receive(lambda m: m.status == 100, 2) is not None
        branch = re.search(rb"branch=(\S+)", invite)
        assert branch is not None
        cancel = phone.request("CANCEL", cseq=phone.cseq).decode()
        cancel = re.sub(r"branch=\S+", f"branch={branch[1].decode()}", cancel)
        phone.send(cancel.encode())
        final = phone.receive(lambda m: m.status >= 200 and m.method == "INVITE", 5)
        assert final is not None and final.status == 487
        phone.to = final.header("To")
        phone.send(phone.request("ACK", cseq=phone.cseq))
    wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 5, "the edge to forget the call")


def test_a_session_timer_is_agreed_between_the_ends(edge: Edge) -> None:
    with edge.phone() as phone:
        answer = phone.invite(extra="Supported: timer\r\nSession-Expires: 90;refresher=uac\r\nMin-SE: 90\r\n")
        assert answer.header("Session-Expires").replace(" ", "") == "90;refresher=uac"
        refreshed = phone.transact(
            phone.request("UPDATE", extra="Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n")
        )
        assert refreshed.status == 200
        assert refreshed.header("Session-Expires").replace(" ", "") == "90;refresher=uac"


def test_a_session_interval_too_short_for_the_lane_is_refused_with_its_minimum(edge: Edge) -> None:
    with edge.phone() as phone:
        answer = phone.invite(extra="Supported: timer\r\nSession-Expires: 30\r\n")
        assert answer.status == 422
        assert int(answer.header("Min-SE")) >= 90
    wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 5, "the edge to forget the call")


def test_an_offer_that_comes_late_is_made_by_the_lane(edge: Edge) -> None:
    with edge.phone() as phone:
        answer = phone.transact(phone.request("INVITE"))
        assert answer.status == 200
        host, port, _ = answer.media()
        assert host == edge.address
        phone.to = answer.header("To")
        phone.send(phone.request("ACK", phone.sdp((PCMU,)), cseq=phone.cseq))
        phone.answer, phone.up = answer, True
        phone.start_line((host, port))
        phone.talk().wait_packets(10)
