"""Utterances heard by OpenAI's protocol and by the engine, each in the other's place when that fails."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator

import pytest

from tellerline.pipeline.engine import Engine
from tellerline.pipeline.flows.choosing import CONFIDENT_LOGPROB
from tellerline.pipeline.providers.ports import Speaker
from tellerline.pipeline.providers.site import Providers
from tellerline.pipeline.turns import normalised
from tellerline.rpc import engine_pb2 as pb

from . import cloud
from .conftest import Site

CLOUD_FIRST = {"recognition": ("openai", "local")}
LOCAL_FIRST = {"recognition": ("local", "openai")}
SAID = "I have lost my card."


class Heard:
    """Transcripts as they come."""

    def __init__(self) -> None:
        self.transcripts: asyncio.Queue[pb.Transcript | None] = asyncio.Queue()

    async def next(self) -> pb.Transcript | None:
        return await asyncio.wait_for(self.transcripts.get(), 15)


@pytest.fixture
async def pcm(engine: Engine) -> bytes:
    replies = engine.synthesise(SAID, fixed_phrase=True)
    return b"".join([reply.pcm async for reply in replies])


@pytest.fixture
async def heard() -> AsyncIterator[Heard]:
    yield Heard()


async def transcript(providers: Providers, speaker: Speaker, heard: Heard, pcm: bytes) -> pb.Transcript:
    utterance = providers.recognise(providers.strategy, speaker, heard.transcripts.put_nowait)
    try:
        for at in range(0, len(pcm), 320):
            utterance.audio(pcm[at : at + 320])
        utterance.finalise(7)
        result = await heard.next()
    finally:
        utterance.close()
    assert result is not None and result.sequence == 7
    return result


async def test_the_utterance_goes_out_whole(
    site: Site, engine: Engine, openai: cloud.OpenAI, speaker: Speaker, heard: Heard, pcm: bytes
) -> None:
    result = await transcript(site(engine, **CLOUD_FIRST), speaker, heard, pcm)
    assert result.text == cloud.HEARD and result.avg_logprob == pytest.approx(-0.21)
    assert result.audio_ms == len(pcm) // 16
    [request] = openai.requests
    form = request.form()
    assert (form["model"], form["language"]) == (b"whisper-1", b"en")
    with wave.open(io.BytesIO(form["file"])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.readframes(file.getnframes()) == pcm


async def test_noise_is_no_text(
    site: Site, engine: Engine, openai: cloud.OpenAI, speaker: Speaker, heard: Heard, pcm: bytes
) -> None:
    openai.transcription = "whisper_noise.json"
    assert (await transcript(site(engine, **CLOUD_FIRST), speaker, heard, pcm)).text == ""


async def test_token_probabilities_tell_how_sure_it_is(
    site: Site, engine: Engine, openai: cloud.OpenAI, speaker: Speaker, heard: Heard, pcm: bytes
) -> None:
    openai.transcription = "gpt4o_transcribe.json"
    result = await transcript(site(engine, **CLOUD_FIRST), speaker, heard, pcm)
    assert result.avg_logprob == pytest.approx(-0.02)


async def test_a_recogniser_that_does_not_say_how_sure_it_is_confirms_no_money(
    site: Site, engine: Engine, openai: cloud.OpenAI, speaker: Speaker, heard: Heard, pcm: bytes
) -> None:
    openai.transcription = "bare.json"
    result = await transcript(site(engine, **CLOUD_FIRST), speaker, heard, pcm)
    assert result.text == "Yes." and result.avg_logprob < CONFIDENT_LOGPROB


@pytest.mark.parametrize("fault", ["hang", "429", "500", "garbled", "dropped", "empty"])
async def test_the_engine_hears_what_the_cloud_does_not(
    site: Site,
    engine: Engine,
    openai: cloud.OpenAI,
    speaker: Speaker,
    heard: Heard,
    pcm: bytes,
    fault: cloud.Fault,
) -> None:
    openai.fault = fault
    result = await transcript(site(engine, **CLOUD_FIRST), speaker, heard, pcm)
    assert normalised(result.text) == normalised(SAID)
    assert len(openai.requests) == 1


async def test_the_cloud_hears_when_the_engine_is_away(
    site: Site, no_engine: Engine, speaker: Speaker, heard: Heard, pcm: bytes
) -> None:
    assert (await transcript(site(no_engine, **LOCAL_FIRST), speaker, heard, pcm)).text == cloud.HEARD


async def test_the_cloud_hears_when_the_engine_hangs(
    site: Site, hanging_engine: Engine, speaker: Speaker, heard: Heard, pcm: bytes
) -> None:
    assert (await transcript(site(hanging_engine, **LOCAL_FIRST), speaker, heard, pcm)).text == cloud.HEARD


async def test_without_anybody_the_listener_is_told(
    site: Site, no_engine: Engine, openai: cloud.OpenAI, speaker: Speaker, heard: Heard
) -> None:
    openai.fault = "500"
    providers = site(no_engine, **CLOUD_FIRST)
    utterance = providers.recognise(providers.strategy, speaker, heard.transcripts.put_nowait)
    utterance.audio(bytes(3200))
    utterance.finalise(1)
    assert await heard.next() is None
    utterance.close()


async def test_a_later_question_supersedes_one_without_an_answer(
    site: Site, engine: Engine, openai: cloud.OpenAI, speaker: Speaker, heard: Heard, pcm: bytes
) -> None:
    openai.fault = "hang"
    providers = site(engine, patience_seconds=5.0, **CLOUD_FIRST)
    utterance = providers.recognise(providers.strategy, speaker, heard.transcripts.put_nowait)
    utterance.audio(pcm)
    utterance.finalise(1)
    async with asyncio.timeout(5):
        await openai.asked.wait()
    openai.fault = ""
    utterance.finalise(2)
    result = await heard.next()
    utterance.close()
    assert result is not None and result.sequence == 2 and result.text == cloud.HEARD
    assert heard.transcripts.empty()
