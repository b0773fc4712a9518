"""Answers by OpenAI's protocol and by the engine, each in the other's place when that fails."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tellerline.breaker import BreakerState
from tellerline.errors import LanguageModelError
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.providers.ports import Question, Speaker
from tellerline.pipeline.providers.site import Providers
from tellerline.rpc import engine_pb2 as pb

from . import cloud
from .conftest import Site

# A turn's deadline.
SECONDS = 6.0
CLOUD_FIRST = {"language_model": ("openai", "local")}
LOCAL_FIRST = {"language_model": ("local", "openai")}


@pytest.fixture
def question(speaker: Speaker) -> Question:
    return Question(speaker, (pb.Message(role="user", content="How do I change my address?"),), 24)


async def answered(providers: Providers, question: Question) -> str:
    pieces = providers.answer(providers.strategy, question, SECONDS)
    return "".join([piece async for piece in pieces])


@pytest.mark.parametrize("recorded", ["openai", "azure", "vllm", "llama_server"])
async def test_answers_of_every_server_are_read(
    site: Site, no_engine: Engine, openai: cloud.OpenAI, question: Question, recorded: str
) -> None:
    openai.chat = f"{recorded}.sse"
    assert await answered(site(no_engine, **CLOUD_FIRST), question) == cloud.ANSWER


async def test_the_prompt_goes_along_and_what_names_people_does_not(
    site: Site, no_engine: Engine, openai: cloud.OpenAI, speaker: Speaker
) -> None:
    said = "My card is 4111 1111 1111 1111, how do I change my address?"
    question = Question(speaker, (pb.Message(role="user", content=said),), 24)
    await answered(site(no_engine, **CLOUD_FIRST), question)
    [request] = openai.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {cloud.KEY}"
    body = request.json()
    assert body["model"] == "gpt-4o-mini" and body["stream"] is True and body["max_completion_tokens"] == 24
    assert body["messages"][0] == {"role": "system", "content": speaker.words.prompt}
    assert "how do I change my address?" in body["messages"][-1]["content"]
    assert b"4111" not in request.body


@pytest.mark.parametrize("fault", ["hang", "429", "500", "302", "garbled", "dropped", "empty", "error"])
async def test_the_engine_answers_in_time_when_the_cloud_does_not(
    site: Site, engine: Engine, openai: cloud.OpenAI, question: Question, fault: cloud.Fault
) -> None:
    openai.fault = fault
    answer = await answered(site(engine, **CLOUD_FIRST), question)
    assert len(answer.split()) > 3 and answer != cloud.ANSWER
    assert len(openai.requests) == 1


@pytest.mark.parametrize("fault", ["half", "slow"])
async def test_half_an_answer_is_followed_by_the_engines(
    site: Site, engine: Engine, openai: cloud.OpenAI, question: Question, fault: cloud.Fault
) -> None:
    openai.fault = fault
    answer = await answered(site(engine, **CLOUD_FIRST), question)
    begun, _, whole = answer.partition(" – ")
    assert begun == "Please visit any branch"
    assert len(whole.split()) > 3


async def test_a_tool_call_is_no_answer(
    site: Site, engine: Engine, openai: cloud.OpenAI, question: Question
) -> None:
    openai.chat = "tool_call.sse"
    answer = await answered(site(engine, **CLOUD_FIRST), question)
    assert answer and "500" not in answer and "transfer" not in answer


async def test_the_cloud_answers_when_the_engine_is_away(
    site: Site, no_engine: Engine, question: Question
) -> None:
    assert await answered(site(no_engine, **LOCAL_FIRST), question) == cloud.ANSWER


async def test_the_cloud_answers_when_the_engine_hangs(
    site: Site, hanging_engine: Engine, question: Question
) -> None:
    assert await answered(site(hanging_engine, **LOCAL_FIRST), question) == cloud.ANSWER


async def test_without_anybody_there_is_an_error(
    site: Site, no_engine: Engine, openai: cloud.OpenAI, question: Question
) -> None:
    openai.fault = "500"
    with pytest.raises(LanguageModelError):
        await answered(site(no_engine, **CLOUD_FIRST), question)


async def test_who_fails_again_and_again_is_left_alone(
    site: Site, engine: Engine, openai: cloud.OpenAI, question: Question
) -> None:
    openai.fault = "500"
    providers = site(engine, breaker_failures=2, **CLOUD_FIRST)
    for _ in range(3):
        assert await answered(providers, question)
    assert len(openai.requests) == 2
    breaker = providers.breaker("language_model", "openai")
    assert breaker is not None and breaker.state is BreakerState.OPEN


async def test_the_last_in_line_is_asked_whatever_happened(
    site: Site, no_engine: Engine, openai: cloud.OpenAI, question: Question
) -> None:
    openai.fault = "500"
    providers = site(no_engine, breaker_failures=1, **LOCAL_FIRST)
    with pytest.raises(LanguageModelError):
        await answered(providers, question)
    openai.fault = ""
    assert await answered(providers, question) == cloud.ANSWER


async def test_off_is_not_a_packet(
    site: Site, engine: Engine, openai: cloud.OpenAI, elevenlabs: cloud.ElevenLabs, question: Question
) -> None:
    assert await answered(site(engine), question)
    assert openai.connections == elevenlabs.connections == 0


async def test_a_withdrawn_question_ends_the_request(
    site: Site, no_engine: Engine, openai: cloud.OpenAI, question: Question
) -> None:
    openai.fault = "slow"
    providers = site(no_engine, patience_seconds=5.0, **CLOUD_FIRST)
    async with contextlib.aclosing(providers.answer(providers.strategy, question, SECONDS)) as pieces:
        await anext(pieces)
    async with asyncio.timeout(5):
        await openai.left.wait()


async def test_an_answer_cut_short_is_no_failure(
    site: Site, engine: Engine, openai: cloud.OpenAI, question: Question
) -> None:
    providers = site(engine, breaker_failures=1, **CLOUD_FIRST)
    for _ in range(3):
        async with contextlib.aclosing(providers.answer(providers.strategy, question, SECONDS)) as pieces:
            await anext(pieces)
    breaker = providers.breaker("language_model", "openai")
    assert breaker is not None and breaker.state is BreakerState.CLOSED
    assert len(openai.requests) == 3
