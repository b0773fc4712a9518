"""The service as a client sees it, over a real PostgreSQL and Valkey."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import psycopg
from records import append, closed, context, eventually, live, opened, record, rows, summary, turn

from tellerline import embedded
from tellerline.database import postgres
from tellerline.rpc import session_pb2 as pb


async def test_call_is_told_from_its_opening_to_its_end(client: Any, call_id: str) -> None:
    await append(
        client,
        opened(call_id),
        turn(call_id, 1, "where is my card", "card_delivery"),
        turn(call_id, 2, "and my balance", "balance"),
        context(call_id, 3, "balance"),
    )
    told = await summary(client, call_id=call_id)
    assert (told.state, told.lane, told.language, told.turns) == ("open", "cpu-0", "en", 2)
    assert list(told.intents) == ["card_delivery", "balance"]
    assert [past.heard for past in told.last_turns] == ["where is my card", "and my balance"]

    await append(client, closed(call_id))
    told = await summary(client, call_id=call_id)
    assert (told.state, told.reason) == ("closed", "goodbye")
    assert told.closed_unix_ms >= told.opened_unix_ms > 0


async def test_record_sent_twice_is_stored_once(client: Any, fresh: embedded.Fresh, call_id: str) -> None:
    reply = await append(client, opened(call_id), turn(call_id, 1))
    assert (reply.stored, reply.known) == (2, 0)
    reply = await append(client, turn(call_id, 1), turn(call_id, 2))
    assert (reply.stored, reply.known) == (1, 1)
    assert rows(fresh, "SELECT count(*) FROM session.turn WHERE call_id = %s", call_id) == [(2,)]


async def test_record_of_a_call_nobody_opened_makes_its_row(client: Any, call_id: str) -> None:
    await append(client, turn(call_id, 1))
    told = await summary(client, call_id=call_id)
    assert (told.found, told.state, told.lane) == (True, "open", "cpu-0")
    await append(client, opened(call_id, lane="cpu-7"))
    assert (await summary(client, call_id=call_id)).lane == "cpu-7"


async def test_live_calls_follow_openings_and_ends(client: Any, call_id: str) -> None:
    await append(client, opened(call_id), context(call_id, 1, "greeting"))
    await eventually(lambda: _is_live(client, call_id, True))
    await append(client, closed(call_id))
    await eventually(lambda: _is_live(client, call_id, False))


async def _is_live(client: Any, call_id: str, wanted: bool) -> bool:
    return (call_id in await live(client)) == wanted


async def test_conversation_is_resumed_where_it_stood(client: Any, call_id: str) -> None:
    ask = pb.ResumeRequest(call_id=call_id)
    assert not (await client.call("Resume", ask, within_seconds=5.0)).found
    await append(client, opened(call_id), context(call_id, 1, "greeting"), turn(call_id, 2, "my balance"))
    await append(client, context(call_id, 3, "balance"))
    reply = await client.call("Resume", ask, within_seconds=5.0)
    assert (reply.found, reply.phase, reply.state_json) == (True, "balance", '{"slot":1}')
    assert [past.heard for past in reply.turns] == ["my balance"]


async def test_context_that_comes_late_does_not_replace_a_newer_one(client: Any, call_id: str) -> None:
    older = context(call_id, 1, "greeting", "pipeline@cpu-0/1")
    newer = context(call_id, 1, "transfer", "pipeline@cpu-0/2")
    newer.at_unix_ms = older.at_unix_ms + 1
    await append(client, opened(call_id), newer)
    await append(client, older)
    reply = await client.call("Resume", pb.ResumeRequest(call_id=call_id), within_seconds=5.0)
    assert reply.phase == "transfer"


async def test_context_goes_with_the_call(client: Any, fresh: embedded.Fresh, call_id: str) -> None:
    await append(client, opened(call_id), context(call_id, 1, "greeting"), closed(call_id))
    await append(client, context(call_id, 2, "balance"))
    assert rows(fresh, "SELECT count(*) FROM session.context WHERE call_id = %s", call_id) == [(0,)]


async def test_handover_is_found_by_its_reference(client: Any, call_id: str) -> None:
    reference = uuid.uuid4().hex
    fact = pb.HandedOver(reference=reference, target="sip:agents@bank", summary="Lost card, blocked.")
    await append(client, opened(call_id), record(call_id, 1, handed_over=fact))
    told = await summary(client, reference=reference)
    assert (told.call_id, told.handover_summary) == (call_id, "Lost card, blocked.")
    assert not (await summary(client, reference="unknown")).found


async def test_recording_and_consent_are_kept(client: Any, fresh: embedded.Fresh, call_id: str) -> None:
    started = pb.RecordingStarted(file="a.tlr", host="h1", wrapped_key=b"\x01\x02", key_id="1")
    ended = pb.RecordingEnded(file="a.tlr", seconds=3.5, bytes=4000, complete=True)
    await append(
        client,
        opened(call_id),
        record(call_id, 1, consent_given=pb.ConsentGiven(recording=True)),
        record(call_id, 2, recording_ended=ended),
        record(call_id, 3, recording_started=started),
    )
    kept = rows(
        fresh,
        "SELECT host, wrapped_key, seconds, bytes, complete FROM session.recording WHERE call_id = %s",
        call_id,
    )
    assert kept == [("h1", b"\x01\x02", 3.5, 4000, True)]
    consent = rows(fresh, "SELECT recording_consent FROM session.call WHERE call_id = %s", call_id)
    assert consent == [(True,)]
    audited = rows(fresh, "SELECT action FROM audit.entry WHERE call_id = %s ORDER BY position", call_id)
    assert audited == [("consent_given",), ("recording_started",)]


async def test_what_cannot_be_stored_is_set_aside_and_the_rest_is_stored(
    client: Any, fresh: embedded.Fresh, call_id: str
) -> None:
    nul = turn(call_id, 2, "a\x00b")
    too_large = turn(call_id, 3)
    too_large.turn_taken.turn_id = 2**64 - 1
    no_fact = record(call_id, 4)
    no_call = turn("", 5)
    no_sequence = turn(call_id, 0)
    nul_call = turn("x\x00y", 1)
    given = (opened(call_id), turn(call_id, 1), nul, too_large, no_fact, no_call, no_sequence, nul_call)
    reply = await append(client, *given, turn(call_id, 9))
    assert (reply.stored, reply.known) == (3, 0)
    assert [aside.index for aside in reply.set_aside] == [2, 3, 4, 5, 6, 7]
    assert all(aside.reason and "a\x00b" not in aside.reason for aside in reply.set_aside)
    again = await append(client, *given)
    assert (again.stored, again.known, len(again.set_aside)) == (0, 2, 6)
    assert rows(fresh, "SELECT count(*) FROM session.set_aside") == [(6,)]
    assert rows(fresh, "SELECT count(*) FROM session.outbox") is not None
    kept = rows(fresh, "SELECT record FROM session.set_aside WHERE sequence = 2")
    assert pb.Record.FromString(kept[0][0]).turn_taken.turn_id == 2


async def test_calls_are_lost_when_their_lease_lapses(client: Any, fresh: embedded.Fresh) -> None:
    carried, dropped = str(uuid.uuid4()), str(uuid.uuid4())
    await append(client, opened(carried), opened(dropped))
    # As if the first lease had run out long ago; the lane vouches for one of them.
    with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
        connection.execute("UPDATE session.call SET lease_until = now() + interval '1 s'")
    lease = pb.LeaseRequest(lane="cpu-0", call_ids=[carried], seconds=60)
    await client.call("Lease", lease, within_seconds=5.0)
    told = await eventually(lambda: _in_state(client, dropped, "lost"))
    assert told.closed_unix_ms > 0
    assert (await summary(client, call_id=carried)).state == "open"
    assert rows(fresh, "SELECT call_id FROM audit.entry WHERE action = 'call_lost'") == [(dropped,)]
    await eventually(lambda: _is_live(client, dropped, False))

    # The lane was only cut off: its lease brings the call back, and its own end is the one that counts.
    lease = pb.LeaseRequest(lane="cpu-0", call_ids=[carried, dropped], seconds=60)
    await client.call("Lease", lease, within_seconds=5.0)
    assert (await summary(client, call_id=dropped)).state == "open"
    await eventually(lambda: _is_live(client, dropped, True))
    await append(client, closed(dropped, "caller"))
    told = await summary(client, call_id=dropped)
    assert (told.state, told.reason) == ("closed", "caller")


async def _in_state(client: Any, call_id: str, state: str) -> pb.SummaryReply | None:
    told = await summary(client, call_id=call_id)
    return told if told.state == state else None


async def test_two_instances_keep_one_truth(start_service: Any, connect: Any, fresh: embedded.Fresh) -> None:
    first, second = start_service(fresh), start_service(fresh)
    clients = [connect(first), connect(second)]
    call_ids = [str(uuid.uuid4()) for _ in range(5)]
    everything = [[opened(call_id), *(turn(call_id, n) for n in range(1, 11))] for call_id in call_ids]
    # Both get everything at once, as when a client is not sure and turns to the other.
    replies = await asyncio.gather(
        *(append(client, *records) for records in everything for client in clients)
    )
    assert sum(reply.stored for reply in replies) == 55
    assert sum(reply.known for reply in replies) == 55
    assert rows(fresh, "SELECT count(*) FROM session.turn") == [(50,)]
    for client in clients:
        await eventually(lambda client=client: _shows(client, call_ids))


async def _shows(client: Any, call_ids: list[str]) -> bool:
    return sorted(await live(client)) == sorted(call_ids)
