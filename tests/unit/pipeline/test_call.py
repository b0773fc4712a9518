"""What one call keeps: its transfer and its turn's deadline."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tellerline.pipeline.call import Call
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.frames import Transfer
from tellerline.pipeline.phrases import Phrases
from tellerline.pipeline.watching import Watchers
from tellerline.rpc import conversation_pb2 as pb
from tellerline.settings import CallLimits, PipelineSettings


@pytest.fixture
async def call(tmp_path: Path) -> Call:
    limits = CallLimits.model_construct(turn_deadline_ms=1)
    settings = PipelineSettings.model_construct(language="en", limits=limits)
    return Call("c1", pb.Attach(), settings, Engine(tmp_path / "none.sock"), Phrases({}), Watchers())


def sent(call: Call) -> list[pb.ToConnector]:
    messages = [call.down.get_nowait() for _ in range(call.down.qsize())]
    return [message for message in messages if message is not None]


async def test_a_transfer_is_sent_once(call: Call) -> None:
    call.transfer = Transfer("sip:person@example.org")
    call.send_transfer(call.transfer)
    call.send_transfer(call.transfer)
    assert [message.transfer.target for message in sent(call)] == ["sip:person@example.org"]


async def test_a_transfer_taken_back_is_not_sent(call: Call) -> None:
    taken_back = Transfer("sip:person@example.org")
    call.send_transfer(taken_back)
    assert sent(call) == []


async def test_a_turn_without_an_answer_reaches_its_deadline(call: Call) -> None:
    late = asyncio.Event()
    call.on_deadline = late.set
    call.expect_answer()
    await asyncio.wait_for(late.wait(), 5)
