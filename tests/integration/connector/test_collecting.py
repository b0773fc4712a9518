"""Call records on their way from a connector's disk to the session service."""

from __future__ import annotations

import psycopg
from lane_processes import LaneMaker
from sip_phone import wait_until
from stand_in_services import Server, Session

from tellerline import embedded
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
