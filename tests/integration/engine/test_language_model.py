"""The language model over gRPC: many calls over one context, each as if it were alone."""

import asyncio
import json

import grpc
import pytest

from tellerline.rpc import engine_pb2 as pb

from .conftest import Caller

_SYSTEM = "You are a polite bank teller on the telephone. " + "You help with cards, bills and payments. " * 6
_QUESTIONS = ("What is the capital of France?", "How do I pay a bill?")


@pytest.fixture
async def prefix(caller: Caller) -> str:
    messages = [pb.Message(role="system", content=_SYSTEM)]
    reply = await caller.model.OpenPrefix(pb.OpenPrefixRequest(messages=messages))
    assert reply.tokens > 50
    return reply.prefix


async def test_greedy_answers_repeat(caller: Caller) -> None:
    one, _ = await caller.generate(_QUESTIONS[0])
    assert "Paris" in one
    assert (await caller.generate(_QUESTIONS[0]))[0] == one


async def test_sampled_answers_follow_their_seed(caller: Caller) -> None:
    async def sampled(seed: int) -> str:
        sampling = pb.Sampling(max_tokens=24, temperature=1.0, top_p=0.95, seed=seed)
        messages = [pb.Message(role="user", content="Tell me a story.")]
        request = pb.GenerateRequest(call_id=caller.call_id, messages=messages, sampling=sampling)
        return "".join([reply.text async for reply in caller.model.Generate(request)])

    assert await sampled(1) == await sampled(1)
    assert len({await sampled(seed) for seed in range(4)}) > 1


async def test_two_calls_at_once_answer_as_if_alone(caller: Caller, other_caller: Caller) -> None:
    alone = [(await caller.generate(question))[0] for question in _QUESTIONS]
    together = await asyncio.gather(caller.generate(_QUESTIONS[0]), other_caller.generate(_QUESTIONS[1]))
    assert [text for text, _ in together] == alone


async def test_more_calls_than_sequences_wait_and_are_served(caller: Caller, other_caller: Caller) -> None:
    asked = [(caller if i % 2 else other_caller).generate(f"What is {i} plus one?") for i in range(8)]
    assert all(end.finish_reason for _, end in await asyncio.gather(*asked))


async def test_the_prefix_is_evaluated_once(caller: Caller, other_caller: Caller, prefix: str) -> None:
    for one in (caller, other_caller):
        _, end = await one.generate("Hello.", prefix=prefix)
        assert end.cached_tokens > 50
        assert end.prompt_tokens - end.cached_tokens < 20


async def test_the_same_prefix_has_the_same_handle(caller: Caller, prefix: str) -> None:
    messages = [pb.Message(role="system", content=_SYSTEM)]
    assert (await caller.model.OpenPrefix(pb.OpenPrefixRequest(messages=messages))).prefix == prefix


async def test_a_conversation_goes_on_from_its_cache(caller: Caller, prefix: str) -> None:
    first, before = await caller.generate("Hello.", prefix=prefix)
    _, after = await caller.generate("Hello.", first, "And my card?", prefix=prefix)
    assert after.cached_tokens >= before.prompt_tokens


async def test_a_cancelled_answer_frees_its_sequence(caller: Caller) -> None:
    for _ in range(6):
        stream = caller.generation("Tell me a very long story.", max_tokens=1000)
        async for _reply in stream:
            break
        stream.cancel()
    # Four sequences, six abandoned stories: the seventh question would wait for ever.
    text, end = await caller.generate(_QUESTIONS[0])
    assert "Paris" in text and end.finish_reason


async def test_a_deadline_stops_an_answer(caller: Caller) -> None:
    messages = [pb.Message(role="user", content="Tell me a very long story.")]
    request = pb.GenerateRequest(
        call_id=caller.call_id, messages=messages, sampling=pb.Sampling(max_tokens=1000)
    )
    with pytest.raises(grpc.aio.AioRpcError) as late:
        async for _ in caller.model.Generate(request, timeout=0.3):
            pass
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "Paris" in (await caller.generate(_QUESTIONS[0]))[0]


async def test_an_answer_within_a_schema_parses(caller: Caller) -> None:
    schema = {
        "type": "object",
        "properties": {"intent": {"enum": ["balance", "card", "bill"]}, "amount": {"type": "integer"}},
        "required": ["intent", "amount"],
    }
    text, end = await caller.generate(
        "Pay twenty dollars of my electricity bill.", max_tokens=60, json_schema=json.dumps(schema)
    )
    assert end.finish_reason == "stop"
    answer = json.loads(text)
    assert answer["intent"] in ("balance", "card", "bill") and isinstance(answer["amount"], int)


async def test_an_answer_within_a_grammar(caller: Caller) -> None:
    text, _ = await caller.generate("Is Paris in France?", grammar='root ::= "yes" | "no"')
    assert text in ("yes", "no")


async def test_a_stop_string_ends_the_answer_before_it(caller: Caller) -> None:
    full, _ = await caller.generate(_QUESTIONS[0])
    sampling = pb.Sampling(max_tokens=24, stop=["Paris"])
    messages = [pb.Message(role="user", content=_QUESTIONS[0])]
    request = pb.GenerateRequest(call_id=caller.call_id, messages=messages, sampling=sampling)
    text = "".join([reply.text async for reply in caller.model.Generate(request)])
    assert text == full.partition("Paris")[0]


async def test_max_tokens_ends_the_answer(caller: Caller) -> None:
    _, end = await caller.generate("Tell me a story.", max_tokens=5)
    assert (end.finish_reason, end.generated_tokens) == ("length", 5)


async def test_control_words_of_a_caller_are_only_words(caller: Caller) -> None:
    plain, end = await caller.generate("Hello.")
    text, same = await caller.generate("Hello.<|im_end|>")
    assert (text, same.prompt_tokens) == (plain, end.prompt_tokens)


@pytest.mark.parametrize(
    ("turn", "options", "complaint"),
    [
        ("word " * 3000, {}, "do not fit the context"),
        ("Hello.", {"prefix": "unknown"}, "open it again"),
        ("Hello.", {"grammar": 'answer ::= "yes"'}, "not GBNF"),
        ("Hello.", {"json_schema": "{"}, "schema is wrong"),
    ],
)
async def test_what_cannot_be_answered_is_refused(
    caller: Caller, turn: str, options: dict[str, str], complaint: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=complaint) as refused:
        await caller.generate(turn, **options)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
