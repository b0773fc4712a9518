"""Kill -9 of the pipeline in mid-call: another one goes on, without asking who is calling."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline.conftest import Say, say  # noqa: F401
from pipeline.connector_line import Line

from tellerline import language
from tellerline.engine.store import ModelStore
from tellerline.instances import Instances
from tellerline.monitoring import health
from tellerline.rpc import banking_pb2 as bank_pb
from tellerline.rpc import banking_pb2_grpc
from tellerline.rpc import conversation_pb2 as pb
from tellerline.stack import Stack
from tellerline.stack_state import Lane

from .conftest import EMMA, EMMA_PIN
from .talk import call_id

PHRASES = language.load("en").phrases


@pytest.fixture
def bank_stack(model_store: ModelStore, engine_socket: Path, tmp_path: Path) -> Iterator[Stack]:
    """A stack of one lane with session, banking and a sandbox bank, on the session's engine."""
    connector = {"sip": {"port": 7520, "rtp_port_first": 33400}}
    pipeline = {"engine_socket": engine_socket, "records": False}
    with Stack(
        bank=True, home=tmp_path, model_store=model_store.root, pipeline=pipeline, connector=connector
    ) as running:
        yield running


async def log_in(line: Line, stack: Stack, called: str) -> None:
    """Both secrets, as the connector hands them on."""
    assert stack.back_office is not None
    async with Instances(stack.back_office.banking_secrets, banking_pb2_grpc.SecretInputStub) as secrets:
        for purpose, digits in (("customer_number", EMMA), ("pin", EMMA_PIN)):
            await line.until(lambda wanted=purpose: _purpose(line) == wanted, 60)
            request = bank_pb.SecretRequest(
                call_id=called, purpose=purpose, digits=digits.encode(), caller="4477"
            )
            reply = await secrets.call("Submit", request, 10.0)
            assert reply.outcome == bank_pb.SecretReply.ACCEPTED
            line.dark_input_ends(pb.DarkInputResult.ACCEPTED)


def _purpose(line: Line) -> str:
    asked = line.sent("dark_input")
    return asked[-1].dark_input.purpose if asked else ""


async def serving(lane: Lane) -> None:
    """Waits for the lane's next pipeline."""
    while not await asyncio.to_thread(health.serving, lane.pipeline_socket):  # noqa: ASYNC110
        await asyncio.sleep(0.2)


# A whole stack is started first.
@pytest.mark.timeout(400)
async def test_a_killed_pipeline_costs_an_apology_and_no_second_proof(
    bank_stack: Stack,
    say: Say,  # noqa: F811
) -> None:
    balance, send = say("What is my balance?"), say("Send twenty pounds to Maria Lopez.")
    yes = say("Yes.")
    lane = bank_stack.state.lanes[0]
    called = call_id()
    async with Line(lane.pipeline_socket, called) as line:
        await line.bot_finishes()
        line.say(balance)
        await log_in(line, bank_stack, called)
        await line.until(lambda: any("holds" in spoke.played for spoke in line.spoken()), 60)
        line.say(send)
        await line.until(lambda: any("To confirm" in spoke.played for spoke in line.spoken()), 60)
        os.kill(lane.pipeline_pid, signal.SIGKILL)
        await line.until(lambda: line.ended, 10)
    await asyncio.wait_for(serving(lane), 90)
    async with Line(lane.pipeline_socket, called, resume=True) as line:
        read_again = await line.bot_finishes()
        assert read_again.startswith(PHRASES["resumed"])
        await line.until(lambda: any("To confirm" in spoke.played for spoke in line.spoken()), 60)
        assert "You are sending twenty pounds to Maria Lopez" in " ".join(s.played for s in line.spoken())
        line.say(yes)
        await line.until(lambda: any("on its way" in spoke.played for spoke in line.spoken()), 60)
        assert line.sent("dark_input") == []
