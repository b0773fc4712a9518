"""The pipeline's side of the engines of its host: the lane's own, and the others while that one is away.

Whoever asks is served by the first engine that serves and has the prompt (`look`, every second). A request
that meets a dead one goes on to the next before anything of its answer was heard, so that one turn is late
and none is lost.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import grpc

from tellerline.errors import EngineUnavailable, LanguageModelError, SynthesisError
from tellerline.language import Language
from tellerline.pipeline import choice
from tellerline.pipeline.engine_door import PREFIX_SECONDS, Door
from tellerline.rpc import engine_pb2 as pb

log = logging.getLogger(__name__)

# An utterance longer than this has its words, whatever the caller goes on to say.
UTTERANCE_SECONDS = 120.0
SYNTHESIS_SECONDS = 10.0
_Answer = TypeVar("_Answer")


class Engine:
    """The engine behind `socket`, or one of `further` while it is away."""

    def __init__(self, socket: Path, *further: Path) -> None:
        self._doors = tuple(Door(path) for path in (socket, *further))
        self._door = self._doors[0]
        self._prompt: list[pb.Message] = []
        # No engine can answer, as far as `look` saw.
        self.away = False

    async def close(self) -> None:
        """Closes the channels, cancelling what runs on them."""
        await asyncio.gather(*(door.close() for door in self._doors))

    @property
    def socket(self) -> Path:
        """Of the engine that answers now."""
        return self._door.socket

    # ---- which engine

    async def look(self, words: Language) -> bool:
        """Whether an engine can answer; from now on the first that can does."""
        self._prompt = _prompt(words)
        await asyncio.gather(*(door.look(self._prompt) for door in self._doors))
        self._choose()
        self.away = not self._door.ready
        return self._door.ready

    async def open_prefix(self, words: Language, seconds: float = PREFIX_SECONDS) -> None:
        """Evaluates the prompt and its examples once; later generations share them.

        Raises EngineUnavailable.
        """
        self._prompt = _prompt(words)
        await self._door.open_prefix(self._prompt, seconds)

    def _choose(self) -> None:
        before = self._door
        self._door = next((door for door in self._doors if door.ready), self._doors[0])
        if self._door is not before:
            log.warning("answers come from the engine at %s now", self._door.socket)

    def _without(self, door: Door) -> Door | None:
        """The engine that answers instead of `door`, which was found dead; None where there is none."""
        door.ready = False
        self._choose()
        return self._door if self._door.ready else None

    async def _asked(self, ask: Callable[[Door], Awaitable[_Answer]]) -> _Answer:
        """The answer of the first engine that is there. Raises what the last one raised."""
        door = self._door
        while True:
            try:
                return await ask(door)
            except grpc.aio.AioRpcError as error:
                following = self._without(door) if _dead(error) else None
                if following is None:
                    raise
                door = following

    # ---- what is asked

    async def reserve(self, call_id: str) -> pb.ReserveReply:
        """Takes or refreshes a call's slot. Raises EngineUnavailable when no engine answers."""
        door = self._door
        while True:
            try:
                return await door.reserve(call_id)
            except EngineUnavailable:
                following = self._without(door)
                if following is None:
                    raise
                door = following

    async def release(self, call_id: str) -> None:
        """Gives the slot back, wherever the call has been."""
        doors = {self._door, *(door for door in self._doors if door.ready)}
        await asyncio.gather(*(door.release(call_id) for door in doors))

    def recognise(
        self, call_id: str, turn_id: int, language: str, heard: Callable[[pb.Transcript | None], None]
    ) -> Utterance:
        """Opens one utterance; `heard` gets each transcript, and None when the recogniser is gone."""
        return Utterance(self._door, self._without, call_id, turn_id, language, heard)

    async def generate(
        self, call_id: str, turn_id: int, messages: list[pb.Message], sampling: pb.Sampling, seconds: float
    ) -> AsyncGenerator[str, None]:
        """Text of the answer, piece by piece. Closing the iterator stops the model.

        Raises LanguageModelError when every engine fails or `seconds` pass.
        """
        until = time.monotonic() + seconds
        door, reopened, said = self._door, False, False
        while True:
            request = pb.GenerateRequest(
                call_id=call_id, turn_id=turn_id, prefix=door.prefix, messages=messages, sampling=sampling
            )
            stream = door.model.Generate(request, timeout=until - time.monotonic())
            try:
                async for reply in stream:
                    if reply.WhichOneof("reply") == "text":
                        said = True
                        yield reply.text
                return
            except grpc.aio.AioRpcError as error:
                following = self._without(door) if _dead(error) and not said else None
                # It refuses a request before its first word, and a prefix it no longer knows is one reason.
                forgotten = door.prefix and error.code() is grpc.StatusCode.INVALID_ARGUMENT
                if following is None and (reopened or not forgotten):
                    raise LanguageModelError(f"engine: generation failed ({error.code().name})") from error
            finally:
                stream.cancel()
            if following is not None:
                door = following
                continue
            reopened = True
            try:
                await door.open_prefix(self._prompt, until - time.monotonic())
            except EngineUnavailable as error:
                raise LanguageModelError(str(error)) from error

    async def route(self, call_id: str, text: str, code: str, seconds: float) -> pb.RouteReply:
        """What `text` (language `code`) may mean. Raises EngineUnavailable."""
        request = pb.RouteRequest(call_id=call_id, text=text, language=code)

        async def ask(door: Door) -> pb.RouteReply:
            reply: pb.RouteReply = await door.router.Route(request, timeout=seconds)
            return reply

        try:
            return await self._asked(ask)
        except grpc.aio.AioRpcError as error:
            raise EngineUnavailable(f"engine: Route failed ({error.code().name})") from error

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

        async def ask(door: Door) -> str:
            stream = door.model.Generate(request, timeout=seconds)
            try:
                return "".join([reply.text async for reply in stream if reply.WhichOneof("reply") == "text"])
            finally:
                stream.cancel()

        try:
            answer = await self._asked(ask)
        except grpc.aio.AioRpcError as error:
            raise LanguageModelError(f"engine: choosing failed ({error.code().name})") from error
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
        door, spoken = self._door, False
        while True:
            stream = door.synthesis.Synthesize(request, timeout=SYNTHESIS_SECONDS)
            try:
                async for reply in stream:
                    spoken = True
                    yield reply
                return
            except grpc.aio.AioRpcError as error:
                following = self._without(door) if _dead(error) and not spoken else None
                if following is None:
                    raise SynthesisError(f"engine: synthesis failed ({error.code().name})") from error
                door = following
            finally:
                stream.cancel()


class Utterance:
    """One recognition stream: audio in, a transcript for each finalise.

    Where another engine takes over it hears all of it again: the caller does not have to.
    """

    def __init__(
        self,
        door: Door,
        without: Callable[[Door], Door | None],
        call_id: str,
        turn_id: int,
        language: str,
        heard: Callable[[pb.Transcript | None], None],
    ) -> None:
        self._call_id, self._turn_id = call_id, turn_id
        self._without = without
        self._heard = heard
        # All that was sent, in its order, but finalises that were answered or superseded.
        self._said: list[pb.RecognizeRequest] = []
        self._requests: asyncio.Queue[pb.RecognizeRequest | None] = asyncio.Queue()
        self._put(start=pb.RecognizeStart(language=language))
        self._reader = asyncio.create_task(self._read(door))

    def _put(self, **request: Any) -> None:
        message = pb.RecognizeRequest(call_id=self._call_id, turn_id=self._turn_id, **request)
        self._said.append(message)
        self._requests.put_nowait(message)

    def audio(self, pcm: bytes) -> None:
        """Adds caller audio: S16LE at 8 kHz, any length."""
        self._put(audio=pcm)

    def finalise(self, sequence: int) -> None:
        """Asks for the text of all audio so far; supersedes an unanswered request."""
        self._answered()
        self._put(finalize=pb.Finalize(sequence=sequence))

    def close(self) -> None:
        """Ends the stream; nothing more is heard from it."""
        self._heard = lambda _: None
        self._requests.put_nowait(None)
        self._reader.cancel()

    def _answered(self) -> None:
        self._said = [one for one in self._said if one.WhichOneof("request") != "finalize"]

    async def _outgoing(
        self, requests: asyncio.Queue[pb.RecognizeRequest | None]
    ) -> AsyncIterator[pb.RecognizeRequest]:
        while (request := await requests.get()) is not None:
            yield request

    async def _read(self, door: Door) -> None:
        following: Door | None = door
        while following is not None:
            door = following
            stream = door.recognition.Recognize(self._outgoing(self._requests), timeout=UTTERANCE_SECONDS)
            try:
                async for reply in stream:
                    self._answered()
                    self._heard(reply.transcript)
                break
            except grpc.aio.AioRpcError as error:
                log.warning("recognition failed (%s)", error.code().name)
                following = self._without(door) if _dead(error) else None
            finally:
                stream.cancel()
            # Ends whoever still waits on it; a task that is only forgotten is one asyncio complains of.
            self._requests.put_nowait(None)
            self._requests = asyncio.Queue()
            for message in self._said:
                self._requests.put_nowait(message)
        self._heard(None)


def _dead(error: grpc.aio.AioRpcError) -> bool:
    """The process behind the socket is gone, rather than unable to do what was asked."""
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def _prompt(words: Language) -> list[pb.Message]:
    prompt = [pb.Message(role="system", content=words.prompt)]
    for caller, bot in words.examples:
        prompt += [pb.Message(role="user", content=caller), pb.Message(role="assistant", content=bot)]
    return prompt
