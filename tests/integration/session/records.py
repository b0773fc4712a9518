"""Records as lanes append them, and what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from tellerline import embedded
from tellerline.database import postgres
from tellerline.rpc import session_pb2 as pb


def record(call_id: str, sequence: int, producer: str = "pipeline@cpu-0/1", **fact: Any) -> pb.Record:
    """A record of now."""
    now = time.time_ns() // 1_000_000
    return pb.Record(call_id=call_id, producer=producer, sequence=sequence, at_unix_ms=now, **fact)


def opened(call_id: str, lane: str = "cpu-0") -> pb.Record:
    fact = pb.CallOpened(sip_call_id=f"{call_id}@edge", lane=lane, caller="4930123", called="100")
    return record(call_id, 1, f"connector@{lane}", call_opened=fact)


def closed(call_id: str, reason: str = "goodbye") -> pb.Record:
    return record(call_id, 2, "connector@cpu-0", call_closed=pb.CallClosed(reason=reason, talk_seconds=12.5))


def turn(call_id: str, sequence: int, heard: str = "hello", intent: str = "") -> pb.Record:
    fact = pb.TurnTaken(turn_id=sequence, language="en", heard=heard, said="hi", played="hi", intent=intent)
    return record(call_id, sequence, turn_taken=fact)


def context(call_id: str, sequence: int, phase: str, producer: str = "pipeline@cpu-0/1") -> pb.Record:
    fact = pb.ContextSaved(phase=phase, language="en", state_json='{"slot":1}')
    return record(call_id, sequence, producer, context_saved=fact)


async def eventually(ask: Callable[[], Awaitable[Any]], seconds: float = 10.0) -> Any:
    """What `ask` answers once it is true."""
    deadline = time.monotonic() + seconds
    while not (answer := await ask()):
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.02)
    return answer


def rows(fresh: embedded.Fresh, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What the database holds, asked by its administrator."""
    with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
        return connection.execute(query.encode(), values).fetchall()


async def append(client: Any, *records: pb.Record) -> pb.AppendReply:
    return await client.call("Append", pb.AppendRequest(records=records), within_seconds=5.0)


async def summary(client: Any, **by: str) -> pb.SummaryReply:
    return await client.call("Summary", pb.SummaryRequest(**by), within_seconds=5.0)


async def live(client: Any) -> list[str]:
    reply = await client.call("LiveCalls", pb.LiveCallsRequest(), within_seconds=5.0)
    return [call.call_id for call in reply.calls]
