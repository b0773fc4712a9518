"""The session service over a real PostgreSQL: how soon a turn is durable, and fifty calls at once."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from tellerline import embedded, settings
from tellerline.database import postgres
from tellerline.errors import StackError
from tellerline.forwarding import Forwarder
from tellerline.instances import Instances
from tellerline.monitoring import health
from tellerline.robot.benchmarks.bench import Bench, Budget, Result
from tellerline.rpc import session_pb2 as pb
from tellerline.rpc import session_pb2_grpc
from tellerline.supervisor import Supervisor, Unit

_TURNS = 400
# The first ones open connections and prepare statements.
_WARM_UP = 10
_PAUSE_SECONDS = 0.02
_TURNS_A_LONG_CALL = 20
_APPEND_MS = 20.0
_CALLS = 50
_LANE_CALLS = 4
_TURNS_A_CALL = 8
# Turns of a lively conversation: one in so many seconds.
_TURN_SECONDS = 2.0
_START_SECONDS = 30.0
_HEARD = "I would like to know where my new card is, please"
_SAID = "Your debit card was posted on Tuesday the third and should be with you by Friday the sixth."


def session(bench: Bench) -> Result:
    """Turn appends one by one (p99), then fifty calls at once: records in, records out, lag."""
    result = Result("session")
    with (
        embedded.temporary(durable=True) as stores,
        tempfile.TemporaryDirectory(prefix="tellerline-bench-") as folder,
    ):
        supervisor = Supervisor(lambda unit, what: bench.progress(f"{unit} {what}"))
        try:
            service = _started(supervisor, stores, Path(folder))
            bench.progress("session: turn appends")
            appends = asyncio.run(_append_turns(service, bench.turns or _TURNS))
            bench.progress(f"session: {_CALLS} calls at once")
            figures = asyncio.run(_many_calls(service, Path(folder)))
            stored = _stored(stores)
        finally:
            supervisor.close()
    # One CallOpened, and three records a turn; less the turns appended one by one.
    appended = _CALLS * (1 + 3 * _TURNS_A_CALL)
    lost = appended + len(appends) + _WARM_UP - stored
    result.figures = {"append_ms": _spread(appends), "records": appended, "lost": lost, **figures}
    p99 = result.figures["append_ms"]["p99"]
    result.budgets = [
        Budget("turn append p99 ms", p99, _APPEND_MS),
        Budget("records lost", abs(lost), 0),
    ]
    return result


def _started(supervisor: Supervisor, stores: embedded.Datastores, folder: Path) -> settings.ServiceAddresses:
    key = folder / "audit.key"
    key.write_text(base64.b64encode(os.urandom(32)).decode(), encoding="ascii")
    socket = folder / "session.sock"
    chosen = settings.SessionSettings(
        listen=f"unix:{socket}",
        database=stores.database("session"),
        redis=stores.redis("session"),
        audit_key=key,
        audit_heads=folder / "heads",
    )
    config = folder / "session.yml"
    config.write_text(settings.dump(chosen), encoding="utf-8")
    command = (sys.executable, "-m", "tellerline", "session", "--config", str(config))
    supervisor.start(Unit("session", command, folder / "session.log"))
    deadline = time.monotonic() + _START_SECONDS
    while not health.serving(socket):
        if time.monotonic() > deadline:
            raise StackError(f"session was not ready after {_START_SECONDS:.0f} s")
        time.sleep(0.05)
    return settings.ServiceAddresses(addresses=(chosen.listen,))


async def _append_turns(service: settings.ServiceAddresses, count: int) -> list[float]:
    """Milliseconds of each append of one turn, from the producer's side."""
    took = []
    async with Instances(service, session_pb2_grpc.SessionStub) as instances:
        for number in range(1, count + _WARM_UP + 1):
            if number % _TURNS_A_LONG_CALL == 1:
                call_id = str(uuid.uuid4())
            record = pb.Record(
                call_id=call_id,
                producer="bench@bench-0",
                sequence=number,
                at_unix_ms=time.time_ns() // 1_000_000,
                turn_taken=_turn(number),
            )
            begun = time.perf_counter()
            await instances.call("Append", pb.AppendRequest(records=[record]), within_seconds=5.0)
            took.append(1000 * (time.perf_counter() - begun))
            await asyncio.sleep(_PAUSE_SECONDS)
    return took[_WARM_UP:]


async def _many_calls(service: settings.ServiceAddresses, folder: Path) -> dict[str, Any]:
    """What each turn's records took from the producer's hand until they were stored."""
    lanes = [
        Forwarder(folder / f"spool-{lane}", service, f"pipeline@bench-{lane}")
        for lane in range(-(-_CALLS // _LANE_CALLS))
    ]
    for lane in lanes:
        await lane.start()
    begun = time.monotonic()
    lags: list[float] = []
    calls = [_one_call(lanes[index // _LANE_CALLS], index, lags) for index in range(_CALLS)]
    await asyncio.gather(*calls)
    seconds = time.monotonic() - begun
    for lane in lanes:
        await lane.close(drain_seconds=30.0)
    return {"lag_ms": _spread(lags), "records_a_second": round(3 * _TURNS_A_CALL * _CALLS / seconds)}


async def _one_call(lane: Forwarder, index: int, lags: list[float]) -> None:
    call_id = str(uuid.uuid4())
    lane.append(call_id, pb.CallOpened(lane="bench"))
    # Callers do not speak in chorus.
    await asyncio.sleep(_TURN_SECONDS * index / _CALLS)
    for number in range(1, _TURNS_A_CALL + 1):
        lane.append(call_id, pb.ToolCalled(tool="balance", outcome="done", took_ms=50))
        lane.append(call_id, _turn(number))
        lane.append(call_id, pb.ContextSaved(phase="balance", language="en", state_json='{"slots":{}}'))
        begun = time.perf_counter()
        await lane.drained(_START_SECONDS)
        spent = time.perf_counter() - begun
        lags.append(1000 * spent)
        await asyncio.sleep(max(0.0, _TURN_SECONDS - spent))


def _turn(number: int) -> pb.TurnTaken:
    return pb.TurnTaken(
        turn_id=number,
        language="en",
        heard=_HEARD,
        said=_SAID,
        played=_SAID,
        intent="card_delivery",
        understood_by="router",
    )


def _stored(stores: embedded.Datastores) -> int:
    with psycopg.connect(**postgres.parameters(stores.superuser())) as connection:
        row = connection.execute("SELECT count(*) FROM session.record").fetchone()
    return int(row[0]) if row is not None else 0


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": round(ordered[-1], 1)}
