"""One engine of this host as a pipeline sees it: its socket, its services, and whether it has the prompt."""

from __future__ import annotations

import logging
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tellerline import bootstrap
from tellerline.errors import EngineUnavailable
from tellerline.rpc import engine_pb2 as pb
from tellerline.rpc import engine_pb2_grpc as rpc

log = logging.getLogger(__name__)

SHORT_SECONDS = 2.0
PREFIX_SECONDS = 60.0


class Door:
    """The engine behind one unix socket. Opens no connection until the first request."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._channel = bootstrap.channel(socket)
        self.slots = rpc.EngineStub(self._channel)
        self.recognition = rpc.RecognitionStub(self._channel)
        self.model = rpc.LanguageModelStub(self._channel)
        self.synthesis = rpc.SynthesisStub(self._channel)
        self.router = rpc.RouterStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        # The engine's handle of the prompt; "" until it has been opened there.
        self.prefix = ""
        # Serves and has the prompt, as far as was seen; whoever looks away may be late by a second.
        self.ready = False

    async def close(self) -> None:
        """Closes the channel, cancelling what runs on it."""
        await self._channel.close()

    async def is_serving(self) -> bool:
        """Whether the engine answers and reports SERVING."""
        try:
            reply = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=SHORT_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def look(self, prompt: list[pb.Message]) -> None:
        """Brings `ready` up to date. An engine that has come back has lost the prompt: it gets it first."""
        if not await self.is_serving():
            self.ready = False
        elif not self.ready:
            try:
                await self.open_prefix(prompt)
            except EngineUnavailable as error:
                log.warning("%s has not taken the prompt: %s", self.socket, error)
                return
            self.ready = True

    async def open_prefix(self, prompt: list[pb.Message], seconds: float = PREFIX_SECONDS) -> None:
        """Has the engine evaluate `prompt` once. Raises EngineUnavailable."""
        try:
            reply = await self.model.OpenPrefix(pb.OpenPrefixRequest(messages=prompt), timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise EngineUnavailable(f"engine: OpenPrefix failed ({error.code().name})") from error
        self.prefix = reply.prefix

    async def reserve(self, call_id: str) -> pb.ReserveReply:
        """Takes or refreshes a call's slot. Raises EngineUnavailable when the engine does not answer."""
        try:
            reply: pb.ReserveReply = await self.slots.Reserve(
                pb.ReserveRequest(call_id=call_id), timeout=SHORT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise EngineUnavailable(
                f"engine: Reserve failed ({error.code().name}); is it running?"
            ) from error
        return reply

    async def release(self, call_id: str) -> None:
        """Gives the slot back; an engine that is gone has forgotten it anyway."""
        try:
            await self.slots.Release(pb.ReleaseRequest(call_id=call_id), timeout=SHORT_SECONDS)
        except grpc.aio.AioRpcError as error:
            log.info("call %s: slot not released (%s); it lapses", call_id, error.code().name)
