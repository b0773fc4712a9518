"""The connector's end of `Converse` and the pipeline's health, against a gRPC server of the test's own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tellerline import bootstrap
from tellerline.connector.stream import CONVERSE_SECONDS, Pipeline
from tellerline.rpc import conversation_pb2 as pb
from tellerline.rpc import conversation_pb2_grpc as rpc

_SECONDS = 10


class Scripted(rpc.ConversationServicer):
    """Sends what `down` holds, keeps what comes up."""

    def __init__(self) -> None:
        self.down: asyncio.Queue[pb.ToConnector | None] = asyncio.Queue()
        self.up: asyncio.Queue[pb.FromConnector] = asyncio.Queue()
        self.remaining_seconds = 0.0
        self.failing = False

    async def Converse(
        self, requests: AsyncIterator[pb.FromConnector], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ToConnector]:
        self.remaining_seconds = context.time_remaining()

        async def read() -> None:
            async for message in requests:
                self.up.put_nowait(message)

        reading = asyncio.create_task(read())
        while (message := await self.down.get()) is not None:
            yield message
            if self.failing:
                reading.cancel()
                await context.abort(grpc.StatusCode.UNAVAILABLE, "as a process that dies")
        await reading

    async def heard(self, event: str) -> pb.FromConnector:
        """The next message up of one kind."""
        async with asyncio.timeout(_SECONDS):
            while (message := await self.up.get()).WhichOneof("event") != event:
                pass
        return message


class Told:
    """What a call hears from its stream."""

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.commands: asyncio.Queue[pb.ToConnector] = asyncio.Queue()

    def stream_up(self) -> None:
        self.up.set()

    def stream_lost(self) -> None:
        pass

    def commanded(self, message: pb.ToConnector) -> None:
        self.commands.put_nowait(message)


@pytest.fixture
async def scripted() -> AsyncIterator[tuple[Pipeline, Scripted]]:
    """A pipeline, as the connector sees it, that does what the test says."""
    with tempfile.TemporaryDirectory(prefix="tlcon-") as folder:
        path = Path(folder) / "p.sock"
        server, health = bootstrap.server(path)
        servicer = Scripted()
        rpc.add_ConversationServicer_to_server(servicer, server)
        await server.start()
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        channel = bootstrap.channel(path)
        yield Pipeline(channel), servicer
        await channel.close()
        await server.stop(None)


async def test_every_message_up_carries_the_last_turn_heard_of(scripted: tuple[Pipeline, Scripted]) -> None:
    pipeline, conversation = scripted
    told = Told()
    attach = pb.FromConnector(call_id="call", turn_id=3, attach=pb.Attach(resume=True, attempt=2))
    stream = pipeline.converse(attach, told)
    assert (await conversation.heard("attach")).turn_id == 3
    conversation.down.put_nowait(pb.ToConnector(call_id="call", turn_id=0, attached=pb.Attached()))
    conversation.down.put_nowait(pb.ToConnector(call_id="call", turn_id=7, pause=pb.Pause()))
    async with asyncio.timeout(_SECONDS):
        await told.up.wait()
        await told.commands.get()
    stream.send(digit=pb.Digit(digit="1"))
    digit = await conversation.heard("digit")
    assert (digit.call_id, digit.turn_id) == ("call", 7)
    assert (await conversation.heard("heartbeat")).turn_id == 7
    stream.close()
    assert (await conversation.heard("caller_hung_up")).turn_id == 7
    conversation.down.put_nowait(None)


async def test_a_call_has_a_deadline_that_no_call_reaches(scripted: tuple[Pipeline, Scripted]) -> None:
    pipeline, conversation = scripted
    stream = pipeline.converse(pb.FromConnector(call_id="call", attach=pb.Attach(attempt=1)), Told())
    await conversation.heard("attach")
    # gRPC rounds what it writes of a deadline this far away.
    assert conversation.remaining_seconds == pytest.approx(CONVERSE_SECONDS, rel=0.02)
    stream.close()
    conversation.down.put_nowait(None)


async def test_a_stream_that_ends_leaves_no_task_behind(scripted: tuple[Pipeline, Scripted]) -> None:
    """gRPC asks for the next message up in a task of its own, which nobody else would end."""
    pipeline, conversation = scripted
    stream = pipeline.converse(pb.FromConnector(call_id="call", attach=pb.Attach(attempt=1)), Told())
    await conversation.heard("attach")
    conversation.failing = True
    senders = [task for task in asyncio.all_tasks() if "_consume_request_iterator" in repr(task)]
    assert senders
    conversation.down.put_nowait(pb.ToConnector(call_id="call"))
    async with asyncio.timeout(_SECONDS):
        await asyncio.wait(senders)
    stream.close()
