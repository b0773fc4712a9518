"""PostgreSQL away while callers talk: nobody is dropped, who is known is served, every record arrives."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from tellerline import record_file, stack
from tellerline.connector import facts
from tellerline.connector.spool import Spool
from tellerline.database import postgres
from tellerline.embedded import Datastores
from tellerline.robot import conversation
from tellerline.robot import scenario as scenarios
from tellerline.robot.benchmarks.bench import Bench, Budget, Result, Take
from tellerline.robot.caller import Listener, Run, Target, processes
from tellerline.robot.conversation import Conversation
from tellerline.robot.process import CallPlan, Event
from tellerline.robot.trace import Mark
from tellerline.rpc import session_pb2

_SECONDS = 60
# Callers who have signed in before the outage, and who dial during it; a lane carries four.
_KNOWN, _NEW = 2, 2
_APART_MS = 700
# A question, its answer and the pause before the next one.
_QUESTION_SECONDS = 13
_PAUSE_MS = 3_500
# The last question of those who are known comes when PostgreSQL is back.
_LAST_PAUSE_MS = 10_000
# An answer's second clause may be long in coming where four calls share two cores.
_QUIET_MS = 2_500
# A customer of the sandbox bank.
_CUSTOMER, _PIN = "10012345", "4711"
_BALANCE = "What is my balance?"
_BALANCE_TOLD = re.compile("holds|available|you owe")
# The turn in which they are told their first balance, and so are signed in.
_SIGNED_IN = 3
_EMPTY_SECONDS = 60.0
_POLL_SECONDS = 0.05

# Call, producer, sequence.
Key = tuple[str, str, int]


@dataclass
class Outage:
    """When PostgreSQL was away (CLOCK_MONOTONIC), and what was seen in the spools then and since."""

    away_ns: int = 0
    back_ns: int = 0
    # Records on this host's disk just before PostgreSQL came back.
    waiting: int = 0
    # From its first answer until no record waited any longer; None: they never went.
    empty_seconds: float | None = None
    seen: set[Key] = field(default_factory=set)


class Spools:
    """The files in which one lane's connector and pipeline keep what is not stored yet."""

    def __init__(self, running: stack.Stack, since: datetime) -> None:
        """Records from before `since` are somebody else's."""
        (lane,) = running.state.lanes
        self._connector = Spool(lane.spool)
        self._pipeline: Path = running.home / "spool" / f"pipeline@{lane.name}"
        self._since_ms = since.timestamp() * 1000

    def keys(self, *, ended: bool = False) -> set[Key]:
        """Every record there; with `ended`, of the connector's only those of calls that have ended.

        A call record stays on disk while the call lasts, whatever of it is stored already.
        """
        found = [session_pb2.Record.FromString(data) for data in record_file.seen(self._pipeline)]
        for call in self._connector.records():
            if call.closed_at is not None or not ended:
                found += facts.of(call)
        return {
            (one.call_id, one.producer, one.sequence) for one in found if one.at_unix_ms >= self._since_ms
        }


def outage(bench: Bench) -> Result:
    """PostgreSQL stopped for a minute under calls that go on and calls that begin."""
    result = Result("outage")
    seconds = bench.turns or _SECONDS
    # Callers of this benchmark think before they speak.
    patient = {"limits": {"silence_prompt_seconds": 60.0}}
    with bench.own(1, bank=True, pipeline=patient) as running:
        assert running.back_office is not None
        stores = running.back_office.datastores
        since = datetime.now(UTC)
        seen = Outage()
        spools = Spools(running, since)
        known, new = asyncio.run(_talk(bench, running, stores, spools, seen, seconds))
        seen.seen |= asyncio.run(_emptied(spools, ended=False))[1]
        stored, closed, aside = _stored(stores, since)
    result.takes += [
        Take(f"{_KNOWN} calls that go on", known.use, True),
        Take(f"{_NEW} calls that begin", new.use, True),
    ]
    for talked in (*known.conversations, *new.conversations):
        result.turns += [conversation.turn_as_dict(turn) for turn in talked.turns]
    judge(result, known.conversations, new.conversations, seen, stored, closed)
    result.figures |= {"seconds_away": round((seen.back_ns - seen.away_ns) / 1e9, 1), "set_aside": aside}
    return result


def judge(
    result: Result,
    known: Sequence[Conversation],
    new: Sequence[Conversation],
    outage: Outage,
    stored: set[Key],
    closed: int,
) -> None:
    """Fills in what became of the calls, and of every record: `stored` are those in the table."""
    calls = [*known, *new]
    asked = [(talked, mark) for talked in known for mark in _asked_during(talked, outage)]
    told = sum(_BALANCE_TOLD.search(said_after(talked, mark)) is not None for talked, mark in asked)
    after = sum(
        _BALANCE_TOLD.search(said_after(talked, talked.trace.marks[-1])) is not None for talked in known
    )
    records_in = len(numbered(outage.seen | stored))
    result.figures |= {
        "calls": len(calls),
        "dropped": sum(talked.trace.ended_by != "caller" for talked in calls),
        "balances_asked_while_away": len(asked),
        "balances_told_while_away": told,
        "balances_told_afterwards": after,
        "new_calls_answered": sum(bool(said_after(talked, talked.trace.marks[-1])) for talked in new),
        "records_waiting_at_the_end": outage.waiting,
        "records_in": records_in,
        "records_out": len(stored),
        "calls_with_a_closed_record": closed,
        "spools_empty_after_seconds": outage.empty_seconds,
    }
    figures = result.figures
    result.budgets += [
        Budget("calls dropped", figures["dropped"], 0, figure="dropped"),
        Budget("records in, less records out", records_in - len(stored), 0),
        Budget("calls without a closed record", len(calls) - closed, 0),
        Budget("records that waited while it was away", outage.waiting, 1, at_least=True),
        Budget("questions for a balance while it was away", len(asked), len(known), at_least=True),
        Budget("of them not answered with one", len(asked) - told, 0),
        Budget("callers not told a balance at the end", len(known) - after, 0),
        Budget("new callers not answered", len(new) - figures["new_calls_answered"], 0),
        Budget("until the spools were empty, seconds", outage.empty_seconds, _EMPTY_SECONDS),
    ]


def numbered(keys: Iterable[Key]) -> set[Key]:
    """`keys` and those that must have been before them: each producer numbers a call's records from 1."""
    last: dict[tuple[str, str], int] = {}
    for call_id, producer, sequence in keys:
        last[call_id, producer] = max(sequence, last.get((call_id, producer), 0))
    return {(*owner, sequence) for owner, most in last.items() for sequence in range(1, most + 1)}


def said_after(talked: Conversation, mark: Mark) -> str:
    """What the bot said from `mark` until the caller's next turn."""
    later = [one.started_ns for one in talked.trace.marks if one.turn > mark.turn]
    until = min(later, default=None)
    return " ".join(
        event.bot_spoke.text
        for event in talked.events
        if event.WhichOneof("event") == "bot_spoke"
        and event.at_ns >= mark.started_ns
        and (until is None or event.at_ns < until)
    )


def _asked_during(talked: Conversation, outage: Outage) -> list[Mark]:
    return [
        mark
        for mark in talked.trace.marks
        if mark.kind == "say" and mark.started_ns >= outage.away_ns and mark.speech_ended_ns <= outage.back_ns
    ]


# ---- the calls, and what happens to PostgreSQL meanwhile


async def _talk(
    bench: Bench, running: stack.Stack, stores: Datastores, spools: Spools, seen: Outage, seconds: int
) -> tuple[Run, Run]:
    questions = max(1, seconds // _QUESTION_SECONDS)
    going_on = _planned(bench, running, [_known(f"known {number}", questions) for number in range(_KNOWN)])
    beginning = _planned(bench, running, [_new(f"new {number}") for number in range(_NEW)])
    (lane,) = running.state.lanes
    target = Target(lane.sip_uri, (lane.pipeline_socket,), processes(running.state))
    signed_in, waiting = asyncio.Event(), set(range(_KNOWN))

    def on_event(event: Event) -> None:
        if event.kind == "ended" or (event.kind in ("bot_quiet", "no_answer") and event.turn == _SIGNED_IN):
            waiting.discard(event.call)
        if not waiting:
            signed_in.set()

    bench.progress(f"outage: {_KNOWN} callers sign in")
    calls = asyncio.create_task(bench.caller.run(going_on, target, Listener(event=on_event), hear=False))
    try:
        await signed_in.wait()
        bench.progress(f"outage: PostgreSQL is stopped for {seconds} s, {_NEW} more callers dial")
        away = asyncio.create_task(_away(stores, spools, seen, seconds))
        new = await bench.caller.run(beginning, target, hear=False)
        await away
        waited = "never" if seen.empty_seconds is None else f"after {seen.empty_seconds:.1f} s"
        bench.progress(f"outage: {seen.waiting} records had waited; spools empty {waited}")
        return await calls, new
    finally:
        calls.cancel()
        await asyncio.gather(calls, return_exceptions=True)


async def _away(stores: Datastores, spools: Spools, seen: Outage, seconds: int) -> None:
    server = stores.postgres_server
    await asyncio.to_thread(server.stop)
    seen.away_ns = time.monotonic_ns()
    await asyncio.sleep(seconds)
    # Nothing leaves the disk meanwhile.
    seen.seen = spools.keys()
    seen.waiting = len(seen.seen)
    seen.back_ns = time.monotonic_ns()
    # On this thread: the server dies with the one that started it.
    server.start()
    await asyncio.to_thread(stores.wait_until_ready)
    seen.empty_seconds, later = await _emptied(spools, ended=True)
    seen.seen |= later


async def _emptied(spools: Spools, *, ended: bool) -> tuple[float | None, set[Key]]:
    """Seconds until nothing waits in the spools, None for never, and what was seen in them."""
    started = time.monotonic()
    seen: set[Key] = set()
    while time.monotonic() - started < _EMPTY_SECONDS:
        waiting = spools.keys(ended=ended)
        seen |= waiting
        if not waiting:
            return round(time.monotonic() - started, 2), seen
        await asyncio.sleep(_POLL_SECONDS)
    return None, seen


def _stored(stores: Datastores, since: datetime) -> tuple[set[Key], int, int]:
    """Of the calls since then: every record in the table, how many calls are closed; records set aside."""
    calls = "SELECT call_id FROM session.call WHERE opened_at >= %s"
    with psycopg.connect(**postgres.parameters(stores.superuser())) as connection:
        found = connection.execute(
            f"SELECT call_id, producer, sequence FROM session.record WHERE call_id IN ({calls})", (since,)
        )
        records = {(str(row[0]), str(row[1]), int(row[2])) for row in found}
        closed = connection.execute(f"{calls} AND state = 'closed'", (since,)).rowcount
        aside = connection.execute(
            "SELECT 1 FROM session.set_aside WHERE set_aside_at >= %s", (since,)
        ).rowcount
    return records, closed, aside


def _planned(
    bench: Bench, running: stack.Stack, chosen: Sequence[scenarios.Scenario]
) -> list[tuple[scenarios.Scenario, CallPlan]]:
    (lane,) = running.state.lanes
    return [
        (one, bench.caller.plan(one, lane.sip_uri, Path.cwd(), index * _APART_MS))
        for index, one in enumerate(chosen)
    ]


def _known(name: str, questions: int) -> scenarios.Scenario:
    """Signs in, and asks for the balance again and again."""
    turns = [scenarios.Turn(), scenarios.Turn(say=_BALANCE)]
    turns += [
        scenarios.Turn(digits=scenarios.Digits(keys=f"{keys}#", secret=True)) for keys in (_CUSTOMER, _PIN)
    ]
    for pause_ms in (*(_PAUSE_MS for _ in range(questions)), _LAST_PAUSE_MS):
        turns += [scenarios.Turn(wait_ms=pause_ms), scenarios.Turn(say=_BALANCE)]
    return scenarios.Scenario(name=name, turns=tuple(turns), quiet_ms=_QUIET_MS, max_seconds=600)


def _new(name: str) -> scenarios.Scenario:
    """Hears the greeting, and presses the key of the opening hours."""
    turns = (scenarios.Turn(), scenarios.Turn(digits=scenarios.Digits(keys="1")))
    return scenarios.Scenario(name=name, turns=turns, quiet_ms=_QUIET_MS, max_seconds=120)
