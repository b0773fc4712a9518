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

from .conftest import Daemon, Say
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


async def test_soft_syllables_over_the_bot_are_no_end_of_turn(line: Line, say: Say) -> None:
    # "ask you" lies 25 dB below the bot for 160 ms.
    question = say("Can I ask you something else?")
    async with line:
        await line.until(lambda: len(line.played) > 16000)
        line.say(question)
        await line.until(lambda: bool(line.heard()))
    assert normalised(line.heard()[0]).endswith("something else")


def hum() -> bytes:
    """0.4 s of a sung vowel: to Silero a voice of 14 windows wherever they begin, no word to a recogniser."""
    t = np.arange(3200) / 8000
    pitch_hz = 160 * (1 + 0.06 * np.sin(2 * np.pi * 3 * t) - 0.15 * t / t[-1])
    sound = np.diff(np.floor(np.cumsum(pitch_hz) / 8000), prepend=0)
    for formant_hz, width_hz in ((700, 80), (1200, 90), (2500, 140)):
        ringing = np.exp(-np.pi * width_hz * t) * np.sin(2 * np.pi * formant_hz * t)
        sound = np.convolve(sound, ringing)[: t.size]
    sound *= np.minimum(1, np.minimum(t / 0.03, (t[-1] - t) / 0.05))
    return (sound / np.abs(sound).max() * 12000).astype("<i2").tobytes()


async def test_noise_pauses_and_resumes_the_sentence(line: Line) -> None:
    async with line:
        await line.until(lambda: len(line.played) > 12000)
        line.say(hum())
        assert await line.bot_finishes() == PHRASES["greeting"]
    assert "FLUSHED" not in outcomes(line)
    assert outcomes(line).count("PAUSED") == outcomes(line).count("RESUMED") >= 1


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


async def test_a_conversation_leaves_no_words_in_the_log(pipeline_daemon: Daemon, say: Say) -> None:
    question = say("Where can I buy a purple umbrella?")
    async with Line(pipeline_daemon.socket, uuid.uuid4().hex) as line:
        await line.bot_finishes()
        line.say(question)
        await line.bot_starts(await line.said())
        await line.bot_finishes()
    log = normalised(pipeline_daemon.log.read_text())
    assert "attached" in log
    said = [*line.heard(), *(spoke.text for spoke in line.spoken())]
    assert len(said) >= 3
    for words in (normalised(text).split() for text in said):
        assert [
            three for three in zip(words, words[1:], words[2:], strict=False) if " ".join(three) in log
        ] == []


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
