"""Which engine of the host a lane is served by, and what becomes of a request that meets a dead one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tellerline import bootstrap, language
from tellerline.errors import EngineUnavailable, LanguageModelError, SynthesisError
from tellerline.pipeline.engine import Engine
from tellerline.rpc import engine_pb2 as pb
from tellerline.rpc import engine_pb2_grpc as rpc

WORDS = language.load("en")


class Fake(rpc.EngineServicer, rpc.LanguageModelServicer, rpc.SynthesisServicer, rpc.RecognitionServicer):
    """An engine that says its name, and may die in the middle of it."""

    def __init__(self, name: str, socket: Path) -> None:
        self.name = name
        self.socket = socket
        self.prompts = 0
        self.refuses_prompts = False
        self.heard = b""
        # Set: dies after its first word, or before.
        self.dies_after_word = False
        self.dies_at_finalize = False
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server, health = bootstrap.server(self.socket)
        rpc.add_EngineServicer_to_server(self, self._server)
        rpc.add_LanguageModelServicer_to_server(self, self._server)
        rpc.add_SynthesisServicer_to_server(self, self._server)
        rpc.add_RecognitionServicer_to_server(self, self._server)
        await self._server.start()
        await health.set("", health_pb2.HealthCheckResponse.SERVING)

    async def die(self) -> None:
        assert self._server is not None
        await self._server.stop(None)

    async def Reserve(self, request: pb.ReserveRequest, context: object) -> pb.ReserveReply:
        return pb.ReserveReply(reserved=True, reason=self.name)

    async def OpenPrefix(
        self, request: pb.OpenPrefixRequest, context: grpc.aio.ServicerContext
    ) -> pb.OpenPrefixReply:
        self.prompts += 1
        if self.refuses_prompts:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "not now")
        return pb.OpenPrefixReply(prefix=self.name)

    async def Generate(
        self, request: pb.GenerateRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.GenerateReply]:
        assert request.prefix == self.name
        yield pb.GenerateReply(text=self.name)
        if self.dies_after_word:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "dead")

    async def Synthesize(
        self, request: pb.SynthesizeRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.SynthesizeReply]:
        yield pb.SynthesizeReply(pcm=self.name.encode())

    async def Recognize(
        self, requests: AsyncIterator[pb.RecognizeRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.RecognizeReply]:
        async for request in requests:
            self.heard += request.audio
            if request.WhichOneof("request") == "finalize":
                if self.dies_at_finalize:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "dead")
                sequence = request.finalize.sequence
                yield pb.RecognizeReply(transcript=pb.Transcript(sequence=sequence, text=self.name))


@pytest.fixture
async def engines(tmp_path: Path) -> AsyncIterator[tuple[Fake, Fake]]:
    """The lane's own, and another one of the host; both run."""
    own, other = Fake("own", tmp_path / "own.sock"), Fake("other", tmp_path / "other.sock")
    await own.start()
    await other.start()
    yield own, other
    await own.die()
    await other.die()


@pytest.fixture
async def engine(engines: tuple[Fake, Fake]) -> AsyncIterator[Engine]:
    own, other = engines
    client = Engine(own.socket, other.socket)
    assert await client.look(WORDS)
    yield client
    await client.close()


async def generated(engine: Engine) -> str:
    return "".join([text async for text in engine.generate("c", 1, [], pb.Sampling(), 5)])


async def synthesised(engine: Engine) -> str:
    return b"".join([reply.pcm async for reply in engine.synthesise("Hello.")]).decode()


async def reserved(engine: Engine) -> str:
    return (await engine.reserve("c")).reason


ASKED: dict[str, Callable[[Engine], Awaitable[str]]] = {
    "generate": generated,
    "synthesise": synthesised,
    "reserve": reserved,
}


@pytest.mark.parametrize("what", ASKED)
async def test_its_own_engine_serves_a_lane_while_it_is_there(engine: Engine, what: str) -> None:
    assert await ASKED[what](engine) == "own"


@pytest.mark.parametrize("what", ASKED)
async def test_a_request_that_meets_a_dead_engine_is_answered_by_the_other(
    engine: Engine, engines: tuple[Fake, Fake], what: str
) -> None:
    await engines[0].die()
    assert await ASKED[what](engine) == "other"
    assert engine.socket == engines[1].socket


async def test_its_own_engine_is_gone_back_to(engine: Engine, engines: tuple[Fake, Fake]) -> None:
    await engines[0].die()
    assert await engine.look(WORDS)
    assert await generated(engine) == "other"
    await engines[0].start()
    while engine.socket != engines[0].socket:
        await engine.look(WORDS)
    assert await generated(engine) == "own"
    # What was lost with its process.
    assert engines[0].prompts == 2


async def test_nothing_is_said_twice(engine: Engine, engines: tuple[Fake, Fake]) -> None:
    engines[0].dies_after_word = True
    said = []
    with pytest.raises(LanguageModelError):
        async for text in engine.generate("c", 1, [], pb.Sampling(), 5):
            said.append(text)
    assert said == ["own"]


async def test_without_any_engine_a_request_fails_and_says_so(
    engine: Engine, engines: tuple[Fake, Fake]
) -> None:
    for one in engines:
        await one.die()
    with pytest.raises(LanguageModelError):
        await generated(engine)
    with pytest.raises(SynthesisError):
        await synthesised(engine)
    with pytest.raises(EngineUnavailable):
        await reserved(engine)
    assert not await engine.look(WORDS)
    assert engine.away


async def test_an_engine_serves_once_it_has_the_prompt(engines: tuple[Fake, Fake]) -> None:
    own, other = engines
    await other.die()
    own.refuses_prompts = True
    engine = Engine(own.socket)
    assert [await engine.look(WORDS) for _ in range(2)] == [False, False]
    own.refuses_prompts = False
    assert [await engine.look(WORDS) for _ in range(2)] == [True, True]
    assert own.prompts == 3
    await engine.close()


async def test_who_takes_over_hears_the_whole_utterance(
    engine: Engine, engines: tuple[Fake, Fake], caplog: pytest.LogCaptureFixture
) -> None:
    engines[0].dies_at_finalize = True
    transcripts: asyncio.Queue[pb.Transcript | None] = asyncio.Queue()
    utterance = engine.recognise("c", 1, "en", transcripts.put_nowait)
    for piece in (b"how much ", b"is in ", b"my account"):
        utterance.audio(piece)
    utterance.finalise(1)
    transcript = await transcripts.get()
    assert transcript is not None
    assert (transcript.sequence, transcript.text) == (1, "other")
    assert engines[1].heard == b"how much is in my account"
    # Nothing of the first stream is left lying about.
    gc.collect()
    await asyncio.sleep(0)
    assert "asyncio" not in {record.name for record in caplog.records}
    # It goes on there.
    utterance.audio(b" now")
    utterance.finalise(2)
    transcript = await transcripts.get()
    assert transcript is not None
    assert (transcript.sequence, engines[1].heard) == (2, b"how much is in my account now")
    utterance.close()
