"""What callers and supervisors see when something inside the engine fails in a way nobody foresaw."""

import contextlib
import logging
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tellerline import bootstrap
from tellerline.engine.admission import TurnTimes
from tellerline.engine.asr.port import Heard, Recognizer, Utterance
from tellerline.engine.llm.port import Ending, LanguageModel, Message, Prefix, Prompt
from tellerline.engine.servicers import LanguageModelServicer, RecognitionServicer, SynthesisServicer
from tellerline.engine.store import ModelStore
from tellerline.engine.tts.port import Spoken, Synthesizer
from tellerline.errors import LanguageModelError
from tellerline.rpc import engine_pb2 as pb
from tellerline.rpc import engine_pb2_grpc as stubs
from tellerline.settings import EngineSettings
from tellerline.stack import MANIFEST

from .conftest import Caller, engine_process, wait_until_ready

_EXIT_SECONDS = 30
# What a caller said, as a library may quote it in an exception.
_SAID = "my number is four two"
# The engine's own program, but for a language model that fails for one call.
_FATAL = """
import sys
from tellerline.cli.main import main
from tellerline.engine.llm.llama import LlamaModel
step = LlamaModel._step
def failing(model):
    if any(job.owner == "fatal" for job in model._running):
        raise RuntimeError("my number is four two")
    step(model)
LlamaModel._step = failing
main()
"""


class _Utterance(Utterance):
    async def hear(self, pcm: bytes) -> str | None:
        return None

    async def finalize(self) -> Heard:
        raise RuntimeError(_SAID)

    def close(self) -> None:
        pass


class FailingRecognizer(Recognizer):
    """Listens, and fails when asked what it heard."""

    def open(self, language: str, partials: bool) -> Utterance:
        return _Utterance()

    async def pulse(self) -> None:
        raise RuntimeError(_SAID)

    def close(self) -> None:
        pass


class FailingModel(LanguageModel):
    """Says a word and fails."""

    async def open_prefix(self, messages: tuple[Message, ...]) -> Prefix:
        raise RuntimeError(_SAID)

    async def generate(self, prompt: Prompt) -> AsyncGenerator[str | Ending, None]:
        yield "Your"
        raise RuntimeError(_SAID)

    @property
    def failure(self) -> LanguageModelError | None:
        return None

    def forget(self, call_id: str) -> None:
        pass

    async def pulse(self) -> None:
        raise RuntimeError(_SAID)

    def close(self) -> None:
        pass


class FailingVoice(Synthesizer):
    """Speaks a sentence and fails."""

    async def synthesize(
        self, text: str, speed: float, rate_hz: int, keep: bool
    ) -> AsyncGenerator[Spoken, None]:
        yield Spoken(bytes(320), ())
        raise RuntimeError(_SAID)

    async def pulse(self) -> None:
        raise RuntimeError(_SAID)

    def close(self) -> None:
        pass


@pytest.fixture
async def failing() -> AsyncIterator[Caller]:
    """A caller of the engine's services over models that fail."""
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        socket = Path(folder) / "engine.sock"
        server, _ = bootstrap.server(socket)
        times = TurnTimes()
        hears, speaks = {"": FailingRecognizer()}, {"": FailingVoice()}
        stubs.add_RecognitionServicer_to_server(RecognitionServicer(hears, {}, times), server)
        stubs.add_LanguageModelServicer_to_server(LanguageModelServicer(FailingModel(), times, 8), server)
        stubs.add_SynthesisServicer_to_server(SynthesisServicer(speaks, {}, times), server)
        await server.start()
        async with bootstrap.channel(socket) as channel:
            yield Caller(channel, "call")
        await server.stop(None)


async def _hear(caller: Caller) -> None:
    async with caller.listen() as listening:
        await listening.audio(bytes(320))
        await listening.finalize(1)


async def _generate(caller: Caller) -> None:
    await caller.generate("Hello.")


async def _open_prefix(caller: Caller) -> None:
    await caller.model.OpenPrefix(pb.OpenPrefixRequest(messages=[pb.Message(role="system")]), timeout=10)


async def _speak(caller: Caller) -> None:
    await caller.speak("Hello.")


@pytest.mark.parametrize(
    ("ask", "stage"),
    [
        (_hear, "recognition"),
        (_generate, "language_model"),
        (_open_prefix, "language_model"),
        (_speak, "synthesis"),
    ],
)
async def test_what_nobody_foresaw_ends_the_wait_with_the_stages_error(
    failing: Caller, ask: object, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await ask(failing)  # type: ignore[operator]
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert failed.value.details() == (
        f"{stage}: failed unexpectedly (RuntimeError); the engine's log says where"
    )
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("tellerline")]
    assert any("test_failures.py" in line for line in logged), "the log does not say where"
    assert not any(_SAID in line for line in logged), "the log quotes the caller"


async def test_a_dead_decode_thread_fails_its_calls_and_ends_the_process(model_store: ModelStore) -> None:
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        socket = Path(folder) / "engine.sock"
        settings = EngineSettings(socket=socket, model_store=model_store.root, manifest=MANIFEST)
        log = socket.with_suffix(".log")
        with engine_process(settings, log, (sys.executable, "-c", _FATAL)) as process:
            wait_until_ready(process, socket, log)
            async with bootstrap.channel(socket) as channel:
                # The socket is there before the services are said to serve.
                states = health_pb2_grpc.HealthStub(channel).Watch(
                    health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=_EXIT_SECONDS
                )
                while (await states.read()).status != health_pb2.HealthCheckResponse.SERVING:
                    pass
                story = Caller(channel, "bystander").generation("Tell me a story.", max_tokens=1000)
                assert (await story.read()).text
                with pytest.raises(grpc.aio.AioRpcError, match="decode thread died") as failed:
                    await Caller(channel, "fatal").generate("Hello.")
                assert failed.value.code() is grpc.StatusCode.INTERNAL
                with pytest.raises(grpc.aio.AioRpcError, match="decode thread died"):
                    while await story.read() is not grpc.aio.EOF:
                        pass
                assert (await states.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
                with contextlib.suppress(grpc.aio.AioRpcError):
                    while await states.read() is not grpc.aio.EOF:
                        pass
            assert process.wait(_EXIT_SECONDS) == 2
        assert "the decode thread died of RuntimeError" in log.read_text()
        assert _SAID not in log.read_text()
