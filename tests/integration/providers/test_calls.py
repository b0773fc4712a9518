"""Calls through a pipeline daemon whose providers fail, and are switched, while it runs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from pipeline.conftest import Say, running, say  # noqa: F401
from pipeline.connector_line import Line

from tellerline import language
from tellerline.settings import ElevenLabsSettings, OpenAISettings, ProvidersSettings

from . import cloud


def settings(
    openai: cloud.OpenAI, elevenlabs: cloud.ElevenLabs, key: Path, **orders: tuple[str, ...]
) -> ProvidersSettings:
    server = OpenAISettings(
        base_url=openai.base_url, key=key, chat_model="gpt-4o-mini", transcription_model="whisper-1"
    )
    voice = ElevenLabsSettings(base_url=elevenlabs.base_url, key=key, voice_id="21m00Tcm4TlvDq8ikWAM")
    return ProvidersSettings(openai=server, elevenlabs=voice, **orders)  # type: ignore[arg-type]


async def command(socket: Path, *options: str) -> tuple[int, str]:
    """`tellerline providers`: its exit status and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tellerline", "providers", "--socket", str(socket), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def asks(line: Line, question: bytes) -> str:
    """What the caller hears as the answer to `question`."""
    line.say(question)
    await line.said()
    return await line.bot_finishes()


# An engine and a pipeline with all its phrases are started first: a minute on two busy cores.
@pytest.mark.timeout(300)
async def test_who_answers_is_switched_while_a_call_runs(
    engine_socket: Path,
    openai: cloud.OpenAI,
    elevenlabs: cloud.ElevenLabs,
    key: Path,
    tmp_path: Path,
    say: Say,  # noqa: F811
) -> None:
    question, another = say("How do I change my address?"), say("How do I order a new checkbook?")
    chosen = settings(openai, elevenlabs, key, language_model=("openai", "local"))
    with running(tmp_path, engine_socket, providers=chosen) as daemon:
        async with Line(daemon.socket, uuid4().hex) as line:
            await line.bot_finishes()
            assert await asks(line, question) == cloud.ANSWER
            # A speculation may have asked more than once.
            asked = len(openai.requests)

            status, _ = await command(daemon.socket, "--language-model", "local")
            assert status == 0
            answer = await asks(line, another)
            assert answer and answer != language.load("en").phrases["apology"]
            assert len(openai.requests) == asked

            status, said = await command(daemon.socket, "--language-model", "openai,local", "--json")
            [shown] = json.loads(said).values()
            orders = {order["kind"]: order["providers"] for order in shown["orders"]}
            assert (status, orders["language_model"]) == (0, ["openai", "local"])
            # A server that hangs says nothing, so whatever is heard now was said by the local engine; it may
            # well use the server's words, which the conversation holds.
            openai.fault = "hang"
            answer = await asks(line, question)
            assert answer and answer != language.load("en").phrases["apology"]
            assert len(openai.requests) > asked

            openai.fault = ""
            assert elevenlabs.connections == 0
            status, _ = await command(daemon.socket, "--synthesis", "elevenlabs,local")
            assert status == 0
            assert await asks(line, question) == cloud.ANSWER
            assert " ".join("".join(elevenlabs.said).split()) == cloud.ANSWER
            elevenlabs.fault = "hang"
            assert await asks(line, another) == cloud.ANSWER

            status, said = await command(daemon.socket, "--recognition", "elevenlabs")
            assert status == 2 and "no provider 'elevenlabs'" in said
    assert cloud.KEY not in daemon.log.read_text()
    assert "passport" not in daemon.log.read_text()


@pytest.mark.timeout(300)
async def test_a_turkish_call_is_heard_elsewhere_and_spoken_here(
    engine_socket: Path,
    openai: cloud.OpenAI,
    elevenlabs: cloud.ElevenLabs,
    key: Path,
    tmp_path: Path,
    say: Say,  # noqa: F811
) -> None:
    openai.transcription, openai.chat = "turkish.json", "turkish.sse"
    chosen = settings(openai, elevenlabs, key, recognition=("openai",), language_model=("openai", "local"))
    with running(tmp_path, engine_socket, providers=chosen, language="tr") as daemon:
        async with Line(daemon.socket, uuid4().hex) as line:
            assert await line.bot_finishes() == language.load("tr").phrases["greeting"]
            # What it sounds like is nothing to this server.
            answer = await asks(line, say("How do I change my address?"))
    assert line.heard() == ["Adresimi nasıl değiştirebilirim?"]
    assert answer == "Kimliğinizle bir şubemize gelmeniz yeterli."
    transcriptions = [r for r in openai.requests if r.path.endswith("transcriptions")]
    assert transcriptions[0].form()["language"] == b"tr"
