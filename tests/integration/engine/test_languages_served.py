"""Which recogniser hears which language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tellerline import bootstrap
from tellerline.engine.admission import TurnTimes
from tellerline.engine.asr.port import Heard, Recognizer, Utterance
from tellerline.engine.servicers import RecognitionServicer
from tellerline.rpc import engine_pb2 as pb
from tellerline.rpc import engine_pb2_grpc as stubs


class _Named(Recognizer, Utterance):
    """Hears its own name, and the language it was asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def open(self, language: str, partials: bool) -> Utterance:
        self._language = language
        return self

    async def hear(self, pcm: bytes) -> str | None:
        return None

    async def finalize(self) -> Heard:
        return Heard(f"{self._name} {self._language}")

    async def pulse(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
async def recognition(tmp_path: Path) -> AsyncIterator[stubs.RecognitionStub]:
    server, _ = bootstrap.server(tmp_path / "r.sock")
    recognizers: dict[str, Recognizer] = {"": _Named("tiny"), "vosk": _Named("vosk"), "base": _Named("base")}
    servicer = RecognitionServicer(recognizers, {"tr": "base"}, TurnTimes())
    stubs.add_RecognitionServicer_to_server(servicer, server)
    await server.start()
    async with bootstrap.channel(tmp_path / "r.sock") as channel:
        yield stubs.RecognitionStub(channel)
    await server.stop(0)


@pytest.mark.parametrize(
    ("start", "heard"),
    [
        (pb.RecognizeStart(language="en"), "tiny en"),
        (pb.RecognizeStart(), "tiny "),
        (pb.RecognizeStart(language="tr-TR"), "base tr-TR"),
        (pb.RecognizeStart(language="tr", engine="vosk"), "vosk tr"),
    ],
)
async def test_a_language_has_a_recogniser_of_its_own(
    recognition: stubs.RecognitionStub, start: pb.RecognizeStart, heard: str
) -> None:
    stream: grpc.aio.StreamStreamCall[pb.RecognizeRequest, pb.RecognizeReply]
    stream = recognition.Recognize(timeout=10)
    await stream.write(pb.RecognizeRequest(start=start))
    await stream.write(pb.RecognizeRequest(finalize=pb.Finalize(sequence=1)))
    reply = await stream.read()
    stream.cancel()
    assert reply.transcript.text == heard
