"""Clauses spoken by ElevenLabs and by the engine, each in the other's place when that fails."""

from __future__ import annotations

import contextlib

import pytest

from tellerline import language
from tellerline.errors import SynthesisError
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.providers.ports import Clause, Speaker
from tellerline.pipeline.providers.site import Providers
from tellerline.rpc import engine_pb2 as pb

from . import cloud
from .conftest import Site

CLOUD_FIRST = {"synthesis": ("elevenlabs", "local")}
LOCAL_FIRST = {"synthesis": ("local", "elevenlabs")}
TEXT = "Your card is on its way."


@pytest.fixture
def clause(speaker: Speaker) -> Clause:
    return Clause(speaker, TEXT)


async def spoken(providers: Providers, clause: Clause) -> tuple[bytes, list[pb.SpokenWord]]:
    replies = [reply async for reply in providers.speak(providers.strategy, clause)]
    return b"".join(reply.pcm for reply in replies), [word for reply in replies for word in reply.words]


def in_order(words: list[pb.SpokenWord], pcm: bytes) -> bool:
    times = [time for word in words for time in (word.start_ms, word.end_ms)]
    return times == sorted(times) and times[-1] <= len(pcm) // 16


async def test_words_lie_where_the_service_says(
    site: Site, no_engine: Engine, elevenlabs: cloud.ElevenLabs, clause: Clause
) -> None:
    pcm, words = await spoken(site(no_engine, **CLOUD_FIRST), clause)
    assert [word.text for word in words] == TEXT.split()
    # 50 ms a character, counted anew in each chunk of two words.
    assert [(word.start_ms, word.end_ms) for word in words[:3]] == [(0, 200), (250, 450), (500, 600)]
    assert in_order(words, pcm) and len(pcm) == 800 * len(TEXT + " ")
    assert elevenlabs.said == [f"{TEXT} "]
    [request] = elevenlabs.requests
    assert request["path"] == "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream-input"
    assert (request["key"], request["output_format"]) == (cloud.KEY, "pcm_8000")
    assert (request["model_id"], request["language_code"]) == ("eleven_flash_v2_5", "en")


@pytest.mark.parametrize("fault", ["hang", "429", "500", "garbled", "dropped", "empty", "error"])
async def test_the_engine_speaks_when_the_cloud_does_not(
    site: Site, engine: Engine, elevenlabs: cloud.ElevenLabs, clause: Clause, fault: cloud.Fault
) -> None:
    elevenlabs.fault = fault
    pcm, words = await spoken(site(engine, **CLOUD_FIRST), clause)
    assert elevenlabs.connections == 1
    assert [word.text for word in words] == TEXT.split() and in_order(words, pcm)


async def test_what_was_left_unsaid_the_engine_says(
    site: Site, engine: Engine, elevenlabs: cloud.ElevenLabs, clause: Clause
) -> None:
    elevenlabs.fault = "half"
    pcm, words = await spoken(site(engine, **CLOUD_FIRST), clause)
    assert [word.text for word in words] == TEXT.split() and in_order(words, pcm)
    assert words[1].end_ms == 450 and words[2].start_ms >= 500


async def test_the_cloud_speaks_when_the_engine_is_away(
    site: Site, no_engine: Engine, elevenlabs: cloud.ElevenLabs, clause: Clause
) -> None:
    _, words = await spoken(site(no_engine, **LOCAL_FIRST), clause)
    assert [word.text for word in words] == TEXT.split() and elevenlabs.connections == 1


async def test_the_cloud_speaks_when_the_engine_hangs(
    site: Site, hanging_engine: Engine, clause: Clause
) -> None:
    _, words = await spoken(site(hanging_engine, **LOCAL_FIRST), clause)
    assert [word.text for word in words] == TEXT.split()


async def test_without_anybody_there_is_an_error(
    site: Site, no_engine: Engine, elevenlabs: cloud.ElevenLabs, clause: Clause
) -> None:
    elevenlabs.fault = "500"
    with pytest.raises(SynthesisError):
        await spoken(site(no_engine, **CLOUD_FIRST), clause)


async def test_a_fixed_phrase_goes_out_once(
    site: Site, no_engine: Engine, elevenlabs: cloud.ElevenLabs, speaker: Speaker
) -> None:
    providers = site(no_engine, **CLOUD_FIRST)
    phrase = Clause(speaker, TEXT, fixed=True)
    first = await spoken(providers, phrase)
    assert await spoken(providers, phrase) == first
    assert elevenlabs.connections == 1
    await spoken(providers, Clause(speaker, TEXT))
    assert elevenlabs.connections == 2


async def test_a_clause_cut_short_is_not_kept(
    site: Site, no_engine: Engine, elevenlabs: cloud.ElevenLabs, speaker: Speaker
) -> None:
    providers = site(no_engine, **CLOUD_FIRST)
    phrase = Clause(speaker, TEXT, fixed=True)
    async with contextlib.aclosing(providers.speak(providers.strategy, phrase)) as replies:
        await anext(replies)
    assert [word.text for word in (await spoken(providers, phrase))[1]] == TEXT.split()


async def test_another_language_is_asked_for(
    site: Site, no_engine: Engine, elevenlabs: cloud.ElevenLabs
) -> None:
    turkish = Speaker("call", 1, language.load("tr"))
    await spoken(site(no_engine, **CLOUD_FIRST), Clause(turkish, "Kartınız yolda."))
    assert elevenlabs.requests[0]["language_code"] == "tr"
    assert elevenlabs.said == ["Kartınız yolda. "]
