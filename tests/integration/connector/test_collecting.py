"""Call records on their way from a connector's disk to the session service."""

from __future__ import annotations

import json
from dataclasses import asdict

import psycopg
from lane_processes import LaneMaker
from sip_phone import wait_until
from stand_in_services import Server, Session

from tellerline import embedded
from tellerline.connector.spool import CallRecord
from tellerline.database import postgres
from tellerline.settings import ServiceAddresses

SessionService = tuple[Session, Server, ServiceAddresses]


def test_a_call_is_told_at_its_answer_and_at_its_end(make_lane: LaneMaker, session: SessionService) -> None:
    told, _, address = session
    lane = make_lane(session=address)
    with lane.phone() as phone:
        phone.invite()
        wait_until(lambda: told.kinds() == ["call_opened"], 5, "the opened call")
        opened = told.fact("call_opened")
        assert (opened.sip_call_id, opened.caller, opened.called) == (phone.call_id, "phone", "echo")
        assert lane.wait_record("open")["sip_call_id"] == phone.call_id
        [call_id] = {call_id for call_id, _, _ in told.facts}
        wait_until(lambda: list(told.leases[-1].call_ids) == [call_id], 8, "a lease with the call")
        assert told.leases[-1].lane == "cpu-0"
    wait_until(lambda: told.kinds() == ["call_opened", "call_closed"], 5, "the closed call")
    assert told.fact("call_closed").reason == "caller"
    # Stored there, it need not lie here.
    wait_until(lambda: lane.records() == [], 5, "an empty spool")
    wait_until(lambda: not told.leases[-1].call_ids, 8, "a lease without it")


def test_a_call_nobody_acknowledged_is_told_only_once_it_is_known_to_have_been_one(
    make_lane: LaneMaker, session: SessionService
) -> None:
    told, _, address = session
    lane = make_lane(session=address)
    with lane.phone() as other, lane.phone() as phone:
        phone.send(phone.request("INVITE", phone.sdp()))
        answer = phone.receive(lambda m: m.status == 200)
        assert answer is not None
        # Another call's record has been told since, so this one's was passed over.
        other.invite()
        wait_until(lambda: told.kinds() == ["call_opened"], 5, "the other call")
        assert told.fact("call_opened").sip_call_id == other.call_id
        assert len(lane.records()) == 2
        told.facts.clear()
        phone.to = answer.header("To")
        phone.send(phone.request("ACK", cseq=1))
        wait_until(lambda: told.kinds() == ["call_opened"], 5, "the call")
        assert told.fact("call_opened").sip_call_id == phone.call_id
        phone.bye()


def test_records_wait_for_a_service_that_is_away(make_lane: LaneMaker, session: SessionService) -> None:
    told, server, address = session
    server.close()
    lane = make_lane(session=address)
    with lane.phone() as phone:
        assert phone.invite().status == 200
    assert lane.wait_record("closed")["reason"] == "caller"
    told.away = True
    server.start()
    wait_until(lambda: len(told.leases) > 0, 10, "a lease")
    assert told.facts == {} and len(lane.records()) == 1
    told.away = False
    wait_until(lambda: told.kinds() == ["call_opened", "call_closed"], 15, "both facts")
    wait_until(lambda: lane.records() == [], 5, "an empty spool")


def test_a_killed_connector_tells_of_its_lost_call_at_the_next_start(
    make_lane: LaneMaker, session: SessionService
) -> None:
    told, _, address = session
    lane = make_lane(session=address)
    with lane.phone() as phone:
        phone.invite()
        wait_until(lambda: told.kinds() == ["call_opened"], 5, "the opened call")
        lane.connector.kill()
        lane.connector.wait()
        phone.up = False
    lane.start_connector()
    wait_until(lambda: told.kinds() == ["call_opened", "call_closed"], 15, "the lost call")
    assert told.fact("call_closed").reason == "lost"
    wait_until(lambda: lane.records() == [], 5, "an empty spool")


def test_records_that_make_no_sense_hold_up_no_others(make_lane: LaneMaker, session: SessionService) -> None:
    told, _, address = session
    lane = make_lane(session=address)
    strange = CallRecord(
        "strange", "x@y", "cpu-0", "", "", opened_at="yesterday", state="closed", closed_at="now"
    )
    (lane.spool / "strange.json").write_text(json.dumps(asdict(strange)))
    (lane.spool / "damaged.json").write_text("{")
    with lane.phone() as phone:
        phone.invite()
    wait_until(lambda: told.kinds() == ["call_opened", "call_closed"], 10, "the call")
    # They stay, for a person to look at.
    left = {"strange.json", "damaged.json"}
    wait_until(lambda: {path.name for path in lane.spool.glob("*")} == left, 5, "the spool")
    assert lane.log("connector").count("makes no sense") == 1


def test_what_the_service_sets_aside_is_not_sent_again(make_lane: LaneMaker, session: SessionService) -> None:
    told, _, address = session
    told.refused.add("call_opened")
    lane = make_lane(session=address)
    with lane.phone() as phone:
        phone.invite()
    wait_until(lambda: lane.records() == [] and told.kinds() == ["call_closed"], 10, "an empty spool")
    assert "set a record aside" in lane.log("connector")


def test_the_last_call_is_told_before_the_connector_ends(
    make_lane: LaneMaker, session: SessionService
) -> None:
    told, _, address = session
    lane = make_lane(session=address, drain_seconds=0)
    with lane.phone() as phone:
        phone.invite()
        lane.connector.terminate()
        assert phone.wait_bye()
    assert lane.connector.wait(10) == 0
    assert told.kinds() == ["call_opened", "call_closed"]
    assert told.fact("call_closed").reason == "drained"


def test_the_real_service_knows_the_call_while_it_runs_and_after(
    make_lane: LaneMaker, real_session: ServiceAddresses, fresh: embedded.Fresh
) -> None:
    lane = make_lane(session=real_session)

    def calls() -> list[tuple[object, ...]]:
        with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
            return connection.execute("SELECT sip_call_id, lane, state, reason FROM session.call").fetchall()

    with lane.phone() as phone:
        phone.invite()
        wait_until(lambda: calls() == [(phone.call_id, "cpu-0", "open", "")], 10, "the open call")
    wait_until(lambda: calls() == [(phone.call_id, "cpu-0", "closed", "caller")], 10, "the closed call")
    wait_until(lambda: lane.records() == [], 5, "an empty spool")
