"""The pipeline's side of the engine: one channel, its services, and streams that can be cancelled."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tellerline import bootstrap
from tellerline.errors import EngineUnavailable, LanguageModelError, SynthesisError
from tellerline.language import Language
from tellerline.pipeline import choice
from tellerline.rpc import engine_pb2 as pb
from tellerline.rpc import engine_pb2_grpc as rpc

log = logging.getLogger(__name__)

SHORT_SECONDS = 2.0
# An utterance longer than this has its words, whatever the caller goes on to say.
UTTERANCE_SECONDS = 120.0
SYNTHESIS_SECONDS = 10.0
PREFIX_SECONDS = 60.0


class Engine:
    """The engine behind one unix socket. Opens no connection until the first request."""

    def __init__(self, socket: Path) -> None:
        self._channel = bootstrap.channel(socket)
        self._slots = rpc.EngineStub(self._channel)
        self._recognition = rpc.RecognitionStub(self._channel)
        self._model = rpc.LanguageModelStub(self._channel)
        self._synthesis = rpc.SynthesisStub(self._channel)
        self._router = rpc.RouterStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        self._prompt: list[pb.Message] = []
        self._prefix = ""

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

    async def reserve(self, call_id: str) -> pb.ReserveReply:
        """Takes or refreshes a call's slot. Raises EngineUnavailable when the engine does not answer."""
        try:
            reply: pb.ReserveReply = await self._slots.Reserve(
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
            await self._slots.Release(pb.ReleaseRequest(call_id=call_id), timeout=SHORT_SECONDS)
        except grpc.aio.AioRpcError as error:
            log.info("call %s: slot not released (%s); it lapses", call_id, error.code().name)

    async def open_prefix(self, words: Language, seconds: float = PREFIX_SECONDS) -> None:
        """Evaluates the prompt and its examples once; later generations share them.

        Raises EngineUnavailable.
        """
        self._prompt = [pb.Message(role="system", content=words.prompt)]
        for caller, bot in words.examples:
            self._prompt += [
                pb.Message(role="user", content=caller),
                pb.Message(role="assistant", content=bot),
            ]
        await self._open_prefix(seconds)

    async def _open_prefix(self, seconds: float) -> None:
        request = pb.OpenPrefixRequest(messages=self._prompt)
        try:
            reply = await self._model.OpenPrefix(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise EngineUnavailable(f"engine: OpenPrefix failed ({error.code().name})") from error
        self._prefix = reply.prefix

    def recognise(
        self, call_id: str, turn_id: int, language: str, heard: Callable[[pb.Transcript | None], None]
    ) -> Utterance:
        """Opens one utterance; `heard` gets each transcript, and None when the recogniser is gone."""
        return Utterance(self._recognition, call_id, turn_id, language, heard)

    async def generate(
        self, call_id: str, turn_id: int, messages: list[pb.Message], sampling: pb.Sampling, seconds: float
    ) -> AsyncGenerator[str, None]:
        """Text of the answer, piece by piece. Closing the iterator stops the model.

        Raises LanguageModelError when the engine fails or `seconds` pass.
        """
        until = time.monotonic() + seconds
        for retry in (True, False):
            request = pb.GenerateRequest(
                call_id=call_id, turn_id=turn_id, prefix=self._prefix, messages=messages, sampling=sampling
            )
            stream = self._model.Generate(request, timeout=until - time.monotonic())
            try:
                async for reply in stream:
                    if reply.WhichOneof("reply") == "text":
                        yield reply.text
                return
            except grpc.aio.AioRpcError as error:
                # It refuses a request before its first word, and a prefix it no longer knows is one reason.
                if not (retry and self._prefix and error.code() is grpc.StatusCode.INVALID_ARGUMENT):
                    raise LanguageModelError(f"engine: generation failed ({error.code().name})") from error
            finally:
                stream.cancel()
            try:
                await self._open_prefix(until - time.monotonic())
            except EngineUnavailable as error:
                raise LanguageModelError(str(error)) from error

    async def route(self, call_id: str, text: str, code: str, seconds: float) -> pb.RouteReply:
        """What `text` (language `code`) may mean. Raises EngineUnavailable."""
        try:
            reply: pb.RouteReply = await self._router.Route(
                pb.RouteRequest(call_id=call_id, text=text, language=code), timeout=seconds
            )
        except grpc.aio.AioRpcError as error:
            raise EngineUnavailable(f"engine: Route failed ({error.code().name})") from error
        return reply

    async def choose(self, call_id: str, text: str, among: Sequence[str], seconds: float) -> str:
        """The model's pick of `among` for what a caller says; "" for none of them.

        A grammar leaves it no other words, and its pick is only a name. Raises LanguageModelError.
        """
        request = pb.GenerateRequest(
            call_id=call_id,
            messages=[pb.Message(role="user", content=choice.question(text, among))],
            sampling=pb.Sampling(max_tokens=choice.TOKENS),
            json_schema=json.dumps(choice.schema(among)),
        )
        stream = self._model.Generate(request, timeout=seconds)
        try:
            answer = "".join([reply.text async for reply in stream if reply.WhichOneof("reply") == "text"])
        except grpc.aio.AioRpcError as error:
            raise LanguageModelError(f"engine: choosing failed ({error.code().name})") from error
        finally:
            stream.cancel()
        return choice.picked(answer, among)

    async def synthesise(
        self,
        text: str,
        call_id: str = "",
        turn_id: int = 0,
        fixed_phrase: bool = False,
        speed: float = 1.0,
        code: str = "",
    ) -> AsyncGenerator[pb.SynthesizeReply, None]:
        """Audio and word offsets of one clause as they are made. Raises SynthesisError."""
        request = pb.SynthesizeRequest(
            call_id=call_id,
            turn_id=turn_id,
            text=text,
            fixed_phrase=fixed_phrase,
            speed=speed,
            language=code,
        )
        stream = self._synthesis.Synthesize(request, timeout=SYNTHESIS_SECONDS)
        try:
            async for reply in stream:
                yield reply
        except grpc.aio.AioRpcError as error:
            raise SynthesisError(f"engine: synthesis failed ({error.code().name})") from error
        finally:
            stream.cancel()


class Utterance:
    """One recognition stream: audio in, a transcript for each finalise."""

    def __init__(
        self,
        recognition: rpc.RecognitionStub,
        call_id: str,
        turn_id: int,
        language: str,
        heard: Callable[[pb.Transcript | None], None],
    ) -> None:
        self._call_id, self._turn_id = call_id, turn_id
        self._heard = heard
        self._requests: asyncio.Queue[pb.RecognizeRequest | None] = asyncio.Queue()
        self._put(start=pb.RecognizeStart(language=language))
        self._stream = recognition.Recognize(self._outgoing(), timeout=UTTERANCE_SECONDS)
        self._reader = asyncio.create_task(self._read())

    def _put(self, **request: Any) -> None:
        self._requests.put_nowait(
            pb.RecognizeRequest(call_id=self._call_id, turn_id=self._turn_id, **request)
        )

    def audio(self, pcm: bytes) -> None:
        """Adds caller audio: S16LE at 8 kHz, any length."""
        self._put(audio=pcm)

    def finalise(self, sequence: int) -> None:
        """Asks for the text of all audio so far; supersedes an unanswered request."""
        self._put(finalize=pb.Finalize(sequence=sequence))

    def close(self) -> None:
        """Ends the stream; nothing more is heard from it."""
        self._heard = lambda _: None
        self._requests.put_nowait(None)
        self._stream.cancel()
        self._reader.cancel()

    async def _outgoing(self) -> AsyncIterator[pb.RecognizeRequest]:
        while (request := await self._requests.get()) is not None:
            yield request

    async def _read(self) -> None:
        try:
            async for reply in self._stream:
                self._heard(reply.transcript)
        except grpc.aio.AioRpcError as error:
            log.warning("recognition failed (%s)", error.code().name)
        self._heard(None)
