"""Providers elsewhere, and a site's providers on the session's engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from tellerline import bootstrap, language, settings
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.providers.ports import Speaker
from tellerline.pipeline.providers.site import Providers
from tellerline.rpc import engine_pb2 as pb
from tellerline.rpc import engine_pb2_grpc as rpc

from . import cloud

Site = Callable[..., Providers]


@pytest.fixture
async def openai() -> AsyncIterator[cloud.OpenAI]:
    async with cloud.openai() as server:
        yield server


@pytest.fixture
async def elevenlabs() -> AsyncIterator[cloud.ElevenLabs]:
    async with cloud.elevenlabs() as server:
        yield server


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The file of the key."""
    path = tmp_path / "key"
    path.write_text(cloud.KEY + "\n")
    return path


@pytest.fixture
async def engine(engine_socket: Path) -> AsyncIterator[Engine]:
    """The session's engine."""
    client = Engine(engine_socket)
    await client.open_prefix(language.load("en"))
    yield client
    await client.close()


@pytest.fixture
async def no_engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine that is away."""
    client = Engine(tmp_path / "nobody.sock")
    yield client
    await client.close()


class _Hangs(rpc.LanguageModelServicer, rpc.SynthesisServicer, rpc.RecognitionServicer):
    """Takes every request and answers none."""

    async def Generate(self, request: pb.GenerateRequest, context: grpc.aio.ServicerContext) -> None:
        await asyncio.Event().wait()

    async def Synthesize(self, request: pb.SynthesizeRequest, context: grpc.aio.ServicerContext) -> None:
        await asyncio.Event().wait()

    async def Recognize(
        self, requests: AsyncIterator[pb.RecognizeRequest], context: grpc.aio.ServicerContext
    ) -> None:
        await asyncio.Event().wait()


@pytest.fixture
async def hanging_engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine that is there and says nothing."""
    socket = tmp_path / "hangs.sock"
    server, _ = bootstrap.server(socket)
    for add in (
        rpc.add_LanguageModelServicer_to_server,
        rpc.add_SynthesisServicer_to_server,
        rpc.add_RecognitionServicer_to_server,
    ):
        add(_Hangs(), server)
    await server.start()
    client = Engine(socket)
    yield client
    await client.close()
    await server.stop(0)


class _Picks(rpc.LanguageModelServicer):
    """Picks a balance, whatever it is asked."""

    async def Generate(
        self, request: pb.GenerateRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.GenerateReply]:
        yield pb.GenerateReply(text='{"intent": "balance"}')


@pytest.fixture
async def picking_engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine whose language model picks a balance."""
    socket = tmp_path / "picks.sock"
    server, _ = bootstrap.server(socket)
    rpc.add_LanguageModelServicer_to_server(_Picks(), server)
    await server.start()
    client = Engine(socket)
    yield client
    await client.close()
    await server.stop(0)


@pytest.fixture
async def site(openai: cloud.OpenAI, elevenlabs: cloud.ElevenLabs, key: Path) -> AsyncIterator[Site]:
    """Makes the providers of a site that has accounts everywhere, and uses what `orders` says."""
    made: list[Providers] = []

    def make(engine: Engine, patience_seconds: float = 1.0, **orders: Any) -> Providers:
        chosen = settings.ProvidersSettings(
            openai=settings.OpenAISettings(
                base_url=openai.base_url, key=key, chat_model="gpt-4o-mini", transcription_model="whisper-1"
            ),
            elevenlabs=settings.ElevenLabsSettings(
                base_url=elevenlabs.base_url, key=key, voice_id="21m00Tcm4TlvDq8ikWAM"
            ),
            patience_seconds=patience_seconds,
            **orders,
        )
        made.append(Providers(chosen, engine))
        return made[-1]

    yield make
    for providers in made:
        await providers.close()


@pytest.fixture
def speaker(request: pytest.FixtureRequest) -> Speaker:
    return Speaker(request.node.name, 1, language.load("en"))
