"""A running engine with every starter model, and a caller to talk to it over real gRPC."""

import contextlib
import re
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import grpc
import numpy as np
import pytest
import soxr

from tellerline import bootstrap
from tellerline import settings as site
from tellerline.engine import audio
from tellerline.engine.store import ModelStore
from tellerline.rpc import engine_pb2 as pb
from tellerline.rpc import engine_pb2_grpc as stubs
from tellerline.settings import EngineSettings, LanguageModelSettings, RecognitionSettings

_TOP = Path(__file__).resolve().parents[3]
_MANIFEST = _TOP / "models" / "starter.yml"
_TELLERLINE = (str(Path(sys.executable).with_name("tellerline")),)
_READY_SECONDS = 90
_CALL_SECONDS = 60
_FRAME_BYTES = 320


@pytest.fixture(scope="session")
def store(model_store: ModelStore, whole: Callable[[str], None]) -> ModelStore:
    """The model store, with the Korean recogniser beside the starter models."""
    whole("vosk-small-ko")
    return model_store


@contextlib.contextmanager
def engine_process(
    settings: EngineSettings, log: Path, program: Sequence[str] = _TELLERLINE
) -> Iterator[subprocess.Popen[bytes]]:
    """`tellerline engine` as systemd would start it, or what `program` makes of it."""
    config = settings.socket.with_suffix(".yml")
    config.write_text(site.dump(settings))
    command = [*program, "engine", "--config", str(config)]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(_READY_SECONDS)


def wait_until_ready(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    """Returns when the engine listens; it does so only after its self-test."""
    until = time.monotonic() + _READY_SECONDS
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"the engine did not start:\n{log.read_text()}")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def settings(store: ModelStore) -> Iterator[EngineSettings]:
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        yield EngineSettings(
            socket=Path(folder) / "engine.sock",
            model_store=store.root,
            manifest=_MANIFEST,
            recognition=RecognitionSettings(vosk_model="vosk-small-ko"),
            # Four sequences, so that a test can fill them.
            language_model=LanguageModelSettings(sequences=4, context_tokens=2048),
        )


@pytest.fixture(scope="session")
def running_engine(settings: EngineSettings) -> Iterator[subprocess.Popen[bytes]]:
    log = settings.socket.with_suffix(".log")
    with engine_process(settings, log) as process:
        wait_until_ready(process, settings.socket, log)
        yield process


class Caller:
    """One call's view of the engine."""

    def __init__(self, channel: grpc.aio.Channel, call_id: str) -> None:
        self.call_id = call_id
        self.slots = stubs.EngineStub(channel)
        self.recognition = stubs.RecognitionStub(channel)
        self.model = stubs.LanguageModelStub(channel)
        self.synthesis = stubs.SynthesisStub(channel)

    async def speak(self, text: str, **options: object) -> list[pb.SynthesizeReply]:
        """The replies to one Synthesize."""
        request = pb.SynthesizeRequest(call_id=self.call_id, turn_id=1, text=text, **options)
        return [reply async for reply in self.synthesis.Synthesize(request, timeout=_CALL_SECONDS)]

    async def pcm(self, text: str) -> bytes:
        """Spoken text as S16LE at 8,000 Hz, as it arrives through a mu-law line."""
        return through_mu_law(b"".join([reply.pcm for reply in await self.speak(text)]))

    def listen(self, engine: str = "", partials: bool = False, language: str = "") -> "Listening":
        """A Recognize stream, started."""
        return Listening(self, pb.RecognizeStart(engine=engine, partials=partials, language=language))

    async def hear(self, pcm: bytes, engine: str = "") -> pb.Transcript:
        """The transcript of one utterance."""
        async with self.listen(engine) as listening:
            await listening.audio(pcm)
            return await listening.finalize(1)

    async def generate(
        self, *turns: str, max_tokens: int = 24, **options: object
    ) -> tuple[str, pb.GenerateEnd]:
        """The answer to a conversation whose turns alternate, the caller's first."""
        text, end = "", pb.GenerateEnd()
        async for reply in self.generation(*turns, max_tokens=max_tokens, **options):
            text += reply.text
            if reply.HasField("end"):
                end = reply.end
        return text, end

    def generation(
        self, *turns: str, max_tokens: int = 24, **options: object
    ) -> grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateReply]:
        """The stream of an answer."""
        roles = ("user", "assistant")
        messages = [pb.Message(role=roles[i % 2], content=turn) for i, turn in enumerate(turns)]
        request = pb.GenerateRequest(
            call_id=self.call_id,
            turn_id=1,
            messages=messages,
            sampling=pb.Sampling(max_tokens=max_tokens),
            **options,
        )
        return self.model.Generate(request, timeout=_CALL_SECONDS)


class Listening:
    """One Recognize stream."""

    def __init__(self, caller: Caller, start: pb.RecognizeStart) -> None:
        self.partials: list[str] = []
        self._caller = caller
        self._start = start

    async def __aenter__(self) -> "Listening":
        self.stream = self._caller.recognition.Recognize(timeout=_CALL_SECONDS)
        await self._send(start=self._start)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.stream.cancel()

    async def audio(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), _FRAME_BYTES):
            await self._send(audio=pcm[at : at + _FRAME_BYTES])

    async def ask(self, sequence: int) -> None:
        await self._send(finalize=pb.Finalize(sequence=sequence))

    async def finalize(self, sequence: int) -> pb.Transcript:
        await self.ask(sequence)
        return await self.final()

    async def final(self) -> pb.Transcript:
        while True:
            reply = await self.stream.read()
            assert reply is not grpc.aio.EOF, "the stream ended without a transcript"
            if reply.transcript.final:
                return reply.transcript
            self.partials.append(reply.transcript.text)

    async def _send(self, **request: object) -> None:
        await self.stream.write(
            pb.RecognizeRequest(call_id=self._caller.call_id, turn_id=1, **request)  # type: ignore[arg-type]
        )


@pytest.fixture
async def channel(
    running_engine: subprocess.Popen[bytes], settings: EngineSettings
) -> AsyncIterator[grpc.aio.Channel]:
    async with bootstrap.channel(settings.socket) as open_channel:
        yield open_channel


@pytest.fixture
async def caller(channel: grpc.aio.Channel, request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    """A call named after its test; its slot and sequences are given back at the end."""
    one = Caller(channel, request.node.name)
    yield one
    await one.slots.Release(pb.ReleaseRequest(call_id=one.call_id))


@pytest.fixture
async def other_caller(channel: grpc.aio.Channel, request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    other = Caller(channel, f"{request.node.name}, another call")
    yield other
    await other.slots.Release(pb.ReleaseRequest(call_id=other.call_id))


@pytest.fixture(scope="session")
def korean() -> bytes:
    """espeak-ng's Korean voice saying "nai-ga eoryeo", S16LE at 8,000 Hz through mu-law."""
    command = ["espeak-ng", "-v", "ko+f2", "-s", "130", "--stdout", "나이가 어려"]
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    return through_mu_law(wav_pcm(spoken))


def wav_pcm(content: bytes) -> bytes:
    """A mono 16-bit WAV of any rate as S16LE at 8,000 Hz. espeak-ng leaves the length fields open."""
    with wave.open(BytesIO(content)) as file:
        samples = audio.from_pcm(file.readframes(len(content)))
        rate_hz = file.getframerate()
    return audio.to_pcm(soxr.resample(samples, rate_hz, audio.TELEPHONE_RATE_HZ))


def through_mu_law(pcm: bytes) -> bytes:
    """What G.711 (mu = 255, 8 bits) leaves of S16LE samples."""
    samples = audio.from_pcm(pcm)
    squeezed = np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log1p(255)
    coded = np.round(squeezed * 127) / 127
    opened = np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(255)) / 255
    return audio.to_pcm(opened.astype(np.float32))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
