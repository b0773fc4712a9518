"""How a call begins and ends: offers, routes, retransmissions, CANCEL, BYE."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

import pytest
from sip_lane import Lane
from sip_phone import PCMA, PCMU, TELEPHONE_EVENT, Message, wait_until
from sipp import Sipp

LaneMaker = Callable[..., Lane]
SippRunner = Callable[..., Sipp]


@pytest.mark.parametrize(
    ("formats", "chosen"),
    [("0 101", PCMU), ("8 101", PCMA), ("0 8 101", PCMU), ("8 0 101", PCMA), ("18 0 101", PCMU)],
)
def test_answers_either_g711_law(lane: Lane, sipp: SippRunner, formats: str, chosen: int) -> None:
    dialogue = sipp("call", formats=formats).finish()
    [answer] = dialogue.replies("INVITE", 200)
    assert answer.media()[2] == [chosen, TELEPHONE_EVENT]


@pytest.mark.parametrize("ptime", ["20", "30", "40"])
def test_answers_every_usual_packet_time(lane: Lane, sipp: SippRunner, ptime: str) -> None:
    dialogue = sipp("call", formats="0 101", ptime=ptime).finish()
    assert len(dialogue.replies("INVITE", 200)) == 1


@pytest.mark.parametrize("ptime", [20, 30, 40])
def test_sends_the_packet_time_asked_for(lane: Lane, ptime: int) -> None:
    with lane.phone() as phone:
        phone.invite(phone.sdp((PCMU, TELEPHONE_EVENT), extra=f"a=ptime:{ptime}\r\n"))
        packets = phone.talk().wait_packets(10)
    # G.711 has a byte a sample; 20 ms is always allowed (RFC 3551 4.2), longer only where asked for.
    assert {len(p.payload) for p in packets} <= {160, 8 * ptime}


def test_refuses_without_a_common_codec(lane: Lane, sipp: SippRunner) -> None:
    dialogue = sipp("no_common_codec").finish()
    assert len(dialogue.replies("INVITE", 488)) == 1


def test_copies_record_route_and_follows_it(lane: Lane, sipp: SippRunner) -> None:
    running = sipp("record_route", called="hangup")
    dialogue = running.finish()
    routes = [f"<sip:near@127.0.0.1:{running.port};lr>", f"<sip:far@127.0.0.1:{running.port};lr>"]
    assert _split(dialogue.replies("INVITE", 200)[0], "Record-Route") == routes
    assert _split(dialogue.requests("BYE")[0], "Route") == routes


def test_offers_both_laws_when_asked_for_the_offer(lane: Lane, sipp: SippRunner) -> None:
    dialogue = sipp("late_offer").finish()
    offered = dialogue.replies("INVITE", 200)[0].media()[2]
    assert sorted(offered[:2]) == [PCMU, PCMA]
    assert len(offered) == 3, "telephone-event and nothing else"
    assert len(lane.wait_event(dialogue.call_id, "attach")) == 1


def test_cancel_gets_its_200_and_the_invite_487(lane: Lane, sipp: SippRunner) -> None:
    with lane.server.admission_held():
        dialogue = sipp("cancel").finish()
    assert len(dialogue.replies("CANCEL", 200)) == 1
    assert len(dialogue.replies("INVITE", 487)) == 1
    assert lane.of_call(dialogue.call_id, "attach") == []


def test_first_bye_gets_its_200(lane: Lane) -> None:
    with lane.phone() as phone:
        phone.invite()
        # A call that ends before it was attached is no news to the pipeline.
        lane.wait_event(phone.call_id, "attach")
        assert phone.bye().status == 200  # `bye` sends once
    lane.wait_event(phone.call_id, "caller_hung_up")


def test_hangs_up_when_told(lane: Lane) -> None:
    with lane.phone("hangup") as phone:
        assert phone.invite().status == 200
        assert phone.wait_bye()


def test_goodbye_plays_before_the_hangup(lane: Lane) -> None:
    with lane.phone("goodbye") as phone:
        phone.invite()
        line = phone.talk()
        assert phone.wait_bye()
    loud = [p for p in line.packets if len(set(p.payload)) > 4]
    assert 45 <= len(loud) <= 56, "one second of tone in 20 ms packets"


@pytest.mark.parametrize("when", ["before the answer", "before the ACK", "after the ACK"])
def test_repeated_invite_starts_no_second_call(lane: Lane, when: str) -> None:
    with lane.phone() as phone:
        invite = phone.request("INVITE", phone.sdp())
        if when == "before the answer":
            with lane.server.admission_held():
                phone.send(invite)
                assert phone.receive(lambda m: m.status == 100, 2) is not None
                phone.send(invite)
        else:
            phone.send(invite)
        answer = phone.receive(lambda m: m.status == 200)
        assert answer is not None
        if when == "before the ACK":
            phone.send(invite)
            again = phone.receive(lambda m: m.status == 200)
            assert again is not None
            assert again.header("To") == answer.header("To")
        phone.to = answer.header("To")
        phone.send(phone.request("ACK", cseq=1))
        lane.wait_event(phone.call_id, "attach")
        if when == "after the ACK":
            phone.send(invite)
            # The next request's answer shows that the repeated INVITE before it was dealt with.
            assert phone.transact(phone.request("INFO", "1", content="application/dtmf")).status == 200
        assert len(lane.status().calls) == 1
        assert phone.bye().status == 200
        strangers = [m for m in phone.inbox if m.status >= 200 and m.header("To") != answer.header("To")]
        assert strangers == []
    assert len(lane.of_call(phone.call_id, "attach")) == 1


def test_an_unacknowledged_answer_is_repeated(lane: Lane) -> None:
    with lane.phone() as phone:
        phone.send(phone.request("INVITE", phone.sdp()))
        first = phone.receive(lambda m: m.status == 200)
        second = phone.receive(lambda m: m.status == 200)
        assert first is not None and second is not None
        phone.to = first.header("To")
        phone.send(phone.request("ACK", cseq=1))
        assert phone.bye().status == 200


def test_fifth_call_is_busy_and_options_still_200(lane: Lane) -> None:
    phones = [lane.phone() for _ in range(5)]
    try:
        assert [phone.invite().status for phone in phones] == [200, 200, 200, 200, 486]
        assert lane.options() == 200
        assert len(lane.status().calls) == 4
    finally:
        for phone in phones:
            phone.__exit__()


def test_one_record_for_every_answered_call(lane: Lane) -> None:
    lane.wait_idle()
    before = len(lane.records())
    with lane.phone() as answered:
        answered.invite()
    with lane.phone() as refused:
        assert refused.invite(refused.sdp((18,))).status == 488
    lane.wait_idle()
    wait_until(lambda: len(lane.records()) == before + 1, 3, "one more record")
    [record] = [record for record in lane.records() if record["sip_call_id"] == answered.call_id]
    assert (record["state"], record["reason"]) == ("closed", "caller")


def test_a_name_nobody_looks_up_does_not_stop_the_lane(make_lane: LaneMaker) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        try:
            silent.bind(("127.0.0.153", 53))
        except PermissionError:
            pytest.skip("only root may bind the port of a DNS server")
        lane = make_lane(nameservers=("127.0.0.153",))
        with lane.phone("hangup") as phone:
            contact = f"<sip:phone@127.0.0.1:{phone.port}>".encode()
            invite = phone.request("INVITE", phone.sdp())
            answer = phone.transact(invite.replace(contact, b"<sip:phone@pbx.example.com:5060>"))
            phone.to = answer.header("To")
            phone.send(phone.request("ACK", cseq=1))
            # The BYE waits for the name; the lane does not.
            assert select.select([silent], [], [], 5.0)[0], "no look-up"
            assert [lane.options() for _ in range(5)] == [200] * 5


def test_starts_again_while_tcp_connections_of_its_last_life_linger(make_lane: LaneMaker) -> None:
    first = make_lane()
    with socket.create_connection(first.address, timeout=2) as caller:
        with first.phone() as phone:
            caller.sendall(phone.request("OPTIONS").replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"))
            assert caller.recv(4096).startswith(b"SIP/2.0 200")
        first.close()
        assert caller.recv(4096) == b""  # the lane closed first, so its end is the one in TIME_WAIT
    again = make_lane(port=first.port)
    with again.phone() as phone:
        assert phone.invite().status == 200


def _split(message: Message, name: str) -> list[str]:
    return [value.strip() for line in message.all(name) for value in line.split(",")]
