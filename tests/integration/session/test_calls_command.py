"""`tellerline calls` against a running service."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from click.testing import CliRunner, Result

from tellerline import embedded
from tellerline.cli.main import cli
from tellerline.errors import ServiceUnavailable
from tellerline.rpc import session_pb2 as pb


async def run(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, cli, ["calls", *arguments])


async def test_live_call_is_listed_and_one_is_told(
    start_service: Any, connect: Any, fresh: embedded.Fresh
) -> None:
    service = start_service(fresh)
    facts = (
        {"call_opened": pb.CallOpened(lane="cpu-0", caller="4930", called="100")},
        {"context_saved": pb.ContextSaved(phase="card_delivery", language="en", state_json="{}")},
        {"turn_taken": pb.TurnTaken(turn_id=1, language="en", heard="my card", played="It was posted.")},
        {"handed_over": pb.HandedOver(reference="r-1", target="sip:a@b", summary="Card posted.")},
    )
    # Of today: retention takes the summaries of old calls, whenever it comes by.
    at = int(time.time() * 1000)
    records = [
        pb.Record(call_id="c-1", producer="pipeline@cpu-0/1", sequence=number, at_unix_ms=at, **fact)
        for number, fact in enumerate(facts, start=1)
    ]
    await connect(service).call("Append", pb.AppendRequest(records=records), within_seconds=5)
    deadline = time.monotonic() + 10
    while "c-1" not in (listed := await run("--session", service.address)).output:
        assert time.monotonic() < deadline, listed.output
        await asyncio.sleep(0.05)
    assert listed.exit_code == 0
    assert "card_delivery" in listed.output

    for asked in (("c-1",), ("--reference", "r-1")):
        told = await run("--session", service.address, *asked)
        assert told.exit_code == 0, told.output
        assert "caller  my card" in told.output
        assert "Card posted." in told.output

    unknown = await run("--session", service.address, "c-2")
    assert unknown.exit_code == 1
    assert "no call c-2" in unknown.output


async def test_service_that_is_away_is_named() -> None:
    away = await run("--session", "unix:/nowhere/session.sock")
    assert isinstance(away.exception, ServiceUnavailable)
    assert "UNAVAILABLE" in str(away.exception)
