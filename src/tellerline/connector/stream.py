"""The connector's end of `Converse`: one gRPC stream a call, with heartbeats, and the pipeline's health.

A pipeline is dead to a call when its stream ends or brings nothing for `DEATH_SECONDS`. A dead one
is asked for its health until it answers; only then the call is attached again, so an attempt that is
lost was seen by a living pipeline and counts.

Health is asked for with a deadline, again and again: a `Health.Watch` on a process that hangs stays as it
was for ever.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tellerline.rpc import conversation_pb2 as pb
from tellerline.rpc import conversation_pb2_grpc as rpc

log = logging.getLogger(__name__)

ADMIT_SECONDS = 0.15
HEARTBEAT_SECONDS = 0.5
# A little under the contract's 1.5 s, so that the apology is heard within it.
DEATH_SECONDS = 1.4
# A loop that itself stood still for longer than this judges nobody: the messages may be waiting.
_STALL_SECONDS = 0.5
_HEALTH_SECONDS = 0.5
_RETRY_SECONDS = 0.25
_WATCH_SECONDS = 1.0
# Longer than any call a site allows (limits.max_call_seconds, half an hour unless set): the deadline of a
# call that everything else forgot to end.
CONVERSE_SECONDS = 4 * 3600.0

_SERVING = health_pb2.HealthCheckResponse.SERVING


class StreamListener(Protocol):
    """What a call hears from its stream, on the loop."""

    def stream_up(self) -> None: ...
    def stream_lost(self) -> None: ...
    def commanded(self, message: pb.ToConnector) -> None: ...


class Pipeline:
    """The lane's pipeline: admission, health, and streams for its calls."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = rpc.ConversationStub(channel)
        self._health = health_pb2_grpc.HealthStub(channel)

    async def admit(self, call_id: str) -> pb.AdmitReply:
        """The pipeline's answer, or a refusal of ours when it does not come within 150 ms."""
        try:
            reply = await self._stub.Admit(pb.AdmitRequest(call_id=call_id), timeout=ADMIT_SECONDS)
            assert isinstance(reply, pb.AdmitReply)
            return reply
        except grpc.aio.AioRpcError as error:
            return pb.AdmitReply(admitted=False, reason=f"pipeline {error.code().name.lower()}")

    async def _is_healthy(self, seconds: float) -> bool:
        try:
            reply = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == _SERVING)

    async def until_healthy(self) -> None:
        """Returns once a health check is answered with SERVING within half a second."""
        while True:
            if await self._is_healthy(_HEALTH_SECONDS):
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def watch(self, changed: Callable[[bool], None]) -> None:
        """Reports health whenever it changes, for ever; a hang counts as a death within two seconds."""
        healthy: bool | None = None
        while True:
            asked_at = time.monotonic()
            now = await self._is_healthy(_WATCH_SECONDS)
            if now != healthy:
                healthy = now
                changed(now)
            await asyncio.sleep(max(_RETRY_SECONDS, asked_at + _WATCH_SECONDS - time.monotonic()))

    def converse(self, attach: pb.FromConnector, listener: StreamListener) -> Stream:
        """Opens a call's stream; a resuming one as soon as the pipeline is healthy."""
        return Stream(self, self._stub, attach, listener)


class Stream:
    """One attachment of one call. Reports `stream_lost` at most once, and never after `close`."""

    # A pipeline that takes nothing for longer than its death is not worth more memory.
    _QUEUE_MESSAGES = 200

    def __init__(
        self,
        pipeline: Pipeline,
        stub: rpc.ConversationStub,
        attach: pb.FromConnector,
        listener: StreamListener,
    ) -> None:
        self._pipeline = pipeline
        self._stub = stub
        self._attach = attach
        self._listener = listener
        self._up: asyncio.Queue[pb.FromConnector | None] = asyncio.Queue(self._QUEUE_MESSAGES)
        self._received_at = time.monotonic()
        self._open = False
        # The last turn heard of: every message up carries it.
        self.turn_id = attach.turn_id
        self._task = asyncio.create_task(self._run())

    @property
    def open(self) -> bool:
        """Whether messages sent now can reach the pipeline."""
        return self._open

    def send(self, **event: Any) -> None:
        """Queues a message; dropped while the stream is not open."""
        if self._open and not self._up.full():
            self._up.put_nowait(pb.FromConnector(call_id=self._attach.call_id, turn_id=self.turn_id, **event))

    def close(self) -> None:
        """Tells the pipeline that the call is over and ends the stream."""
        if self._open and not self._up.full():
            self.send(caller_hung_up=pb.CallerHungUp())
            self._up.put_nowait(None)
            self._open = False
            # The pipeline ends its side; a hung one is left behind.
            asyncio.get_running_loop().call_later(1.0, self._task.cancel)
        else:
            self._task.cancel()
        self._listener = _NOBODY

    async def _run(self) -> None:
        if self._attach.attach.resume:
            # The first life may linger in its socket for a moment; a hung one accepts and never answers.
            await self._pipeline.until_healthy()
        self._open = True
        try:
            async with asyncio.TaskGroup() as group:
                watchdog = group.create_task(self._watch_silence())
                group.create_task(self._exchange(watchdog))
        except* grpc.aio.AioRpcError as errors:
            reasons = {
                error.code().name for error in errors.exceptions if isinstance(error, grpc.aio.AioRpcError)
            }
            log.warning("call %s: stream to the pipeline ended, %s", self._attach.call_id, ", ".join(reasons))
        except* TimeoutError:
            log.warning("call %s: pipeline silent for %.1f s", self._attach.call_id, DEATH_SECONDS)
        except* Exception:
            # A call without its stream must never be left alone with silence.
            log.exception("call %s: stream to the pipeline failed", self._attach.call_id)
        self._open = False
        self._listener.stream_lost()

    async def _exchange(self, watchdog: asyncio.Task[None]) -> None:
        try:
            async for message in self._stub.Converse(self._outgoing(), timeout=CONVERSE_SECONDS):
                self._received_at = time.monotonic()
                self.turn_id = message.turn_id
                command = message.WhichOneof("command")
                if command == "attached":
                    self._listener.stream_up()
                elif command != "heartbeat":
                    self._listener.commanded(message)
        finally:
            watchdog.cancel()
            # gRPC waits for the next message up even when the call has failed: a task that nobody ends.
            if self._up.full():
                self._up.get_nowait()
            self._up.put_nowait(None)

    async def _outgoing(self) -> AsyncIterator[pb.FromConnector]:
        yield self._attach
        while (message := await self._up.get()) is not None:
            yield message

    async def _watch_silence(self) -> None:
        """Sends heartbeats; raises TimeoutError once the pipeline has been silent too long."""
        self._received_at = beat_at = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= beat_at:
                self.send(heartbeat=pb.Heartbeat(sent_ns=time.monotonic_ns()))
                beat_at = now + HEARTBEAT_SECONDS
            if now - self._received_at >= DEATH_SECONDS:
                raise TimeoutError
            wake_at = min(beat_at, self._received_at + DEATH_SECONDS)
            await asyncio.sleep(max(0.0, wake_at - now))
            if time.monotonic() - wake_at > _STALL_SECONDS:
                self._received_at = time.monotonic()


class _Nobody:
    """Hears a closed stream out."""

    def stream_up(self) -> None:
        pass

    def stream_lost(self) -> None:
        pass

    def commanded(self, message: pb.ToConnector) -> None:
        pass


_NOBODY = _Nobody()
