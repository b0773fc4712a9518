"""Conversations with a pipeline daemon on real models: what is heard, answered, kept and dropped."""

from __future__ import annotations

import uuid
from pathlib import Path

import grpc
import numpy as np
import pytest

from tellerline import language
from tellerline.pipeline.turns import normalised
from tellerline.rpc import conversation_pb2 as pb

from .conftest import Say
from .connector_line import Line

PHRASES = language.load("en").phrases


@pytest.fixture
def line(pipeline_socket: Path) -> Line:
    return Line(pipeline_socket, uuid.uuid4().hex)


def outcomes(line: Line) -> list[str]:
    return [pb.BargeIn.Outcome.Name(outcome) for outcome in line.barge_ins()]


async def test_a_call_is_greeted_and_a_question_answered(line: Line, say: Say) -> None:
    question = say("How do I change my address?")
    async with line:
        assert await line.bot_finishes() == PHRASES["greeting"]
        line.say(question)
        sound = await line.said()
        await line.bot_starts(sound)
        answer = await line.bot_finishes()
    assert normalised(line.heard()[-1]) == "how do i change my address"
    assert len(answer.split()) > 3
    timed = [event.turn_timed for event in line.events if event.WhichOneof("event") == "turn_timed"]
    assert [stage.name for stage in timed[-1].stages] == [
        "endpoint",
        "recognition",
        "confirm",
        "thinking",
        "synthesis",
        "gate",
        "send",
    ]
    assert timed[-1].speech_ended_ns < timed[-1].first_audio_ns


async def test_a_resumed_call_is_not_greeted_again(pipeline_socket: Path) -> None:
    async with Line(pipeline_socket, uuid.uuid4().hex, resume=True) as line:
        assert await line.bot_finishes() == PHRASES["resumed"]


async def test_an_interruption_keeps_what_was_played(line: Line, say: Say) -> None:
    interruption = say("Wait, please stop.")
    async with line:
        await line.until(lambda: len(line.played) > 16000)
        line.say(interruption)
        played = await line.bot_finishes()
        assert line.spoken()[0].interrupted
        assert played
        assert PHRASES["greeting"].startswith(played)
        assert played != PHRASES["greeting"]
        await line.bot_finishes()
    assert outcomes(line)[:2] == ["PAUSED", "FLUSHED"]


async def test_noise_pauses_and_resumes_the_sentence(line: Line) -> None:
    # A vowel-like buzz that Silero takes for a voice and no recogniser for a word.
    t = np.arange(2400) / 8000
    buzz = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 20)) * 5000
    async with line:
        await line.until(lambda: len(line.played) > 12000)
        line.say(buzz.astype("<i2").tobytes())
        assert await line.bot_finishes() == PHRASES["greeting"]
    assert "FLUSHED" not in outcomes(line)
    assert outcomes(line).count("PAUSED") == outcomes(line).count("RESUMED")


async def test_the_bots_echo_does_not_interrupt_it(pipeline_socket: Path) -> None:
    async with Line(pipeline_socket, uuid.uuid4().hex, echo_db=-26) as line:
        assert await line.bot_finishes() == PHRASES["greeting"]
        assert outcomes(line) == []


async def test_keys_act_at_once_and_interrupt(line: Line) -> None:
    async with line:
        await line.until(lambda: len(line.played) > 8000)
        line.press("1")
        await line.bot_finishes()
        assert await line.bot_finishes() == PHRASES["opening_hours"]
        line.press("9")
        assert await line.bot_finishes() == PHRASES["opening_hours"]
        line.press("0")
        assert await line.bot_finishes() == PHRASES["nobody_free"]
        line.press("7")
        assert await line.bot_finishes() == PHRASES["unknown_key"]


async def test_a_goodbye_ends_the_call_after_it_was_said(line: Line, say: Say) -> None:
    goodbye = say("Goodbye.")
    async with line:
        await line.bot_finishes()
        line.say(goodbye)
        await line.until(lambda: bool(line.sent("hang_up")))
        hang_up = line.sent("hang_up")[0].hang_up
        assert (hang_up.reason, hang_up.after_playout) == ("goodbye", True)
        await line.until(lambda: line.spoken()[-1].played == PHRASES["goodbye"])


async def test_a_silent_caller_is_asked_and_let_go(line: Line) -> None:
    async with line:
        assert await line.bot_finishes() == PHRASES["greeting"]
        assert await line.bot_finishes() == PHRASES["still_there"]
        assert await line.bot_finishes() == PHRASES["silence_goodbye"]
        assert line.sent("hang_up")[0].hang_up.reason == "silence"


async def test_audio_never_runs_far_ahead_of_the_caller(line: Line) -> None:
    async with line:
        await line.until(lambda: len(line.played) > 32000)
        sent = sum(len(message.audio.pcm) for message in line.sent("audio"))
        assert sent - len(line.played) <= 2 * 960


async def test_a_stream_must_begin_with_attach(pipeline_socket: Path) -> None:
    from tellerline import bootstrap
    from tellerline.rpc import conversation_pb2_grpc as rpc

    async with bootstrap.channel(pipeline_socket) as channel:
        stream = rpc.ConversationStub(channel).Converse(
            iter([pb.FromConnector(call_id="x", heartbeat=pb.Heartbeat())])
        )
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stream.read()
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
