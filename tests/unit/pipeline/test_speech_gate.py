"""The gate after synthesis, through pipecat's own test pipeline."""

from __future__ import annotations

from typing import cast

from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    InterruptionFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.tests.utils import SleepFrame, run_test

from tellerline.pipeline.call import Call
from tellerline.pipeline.frames import TransferFrame
from tellerline.pipeline.gate import SpeechGate
from tellerline.pipeline.timing import TurnClock


class _Clocked:
    """All the gate wants of a call."""

    def __init__(self) -> None:
        self.clock = TurnClock()


def speech(mark: int) -> TTSAudioRawFrame:
    return TTSAudioRawFrame(bytes([mark, 0]) * 160, 8000, 1)


async def passed(*frames: Frame) -> list[int | str]:
    """What comes out behind the gate: marks of speech, names of verdicts."""
    gate = SpeechGate(cast(Call, _Clocked()))
    paced = [part for frame in frames for part in (frame, SleepFrame(sleep=0.01))]
    down, _ = await run_test(gate, frames_to_send=paced)
    return [
        frame.audio[0] if isinstance(frame, TTSAudioRawFrame) else type(frame).__name__
        for frame in down
        if not isinstance(frame, SleepFrame)
    ]


async def test_speech_passes_while_the_caller_is_silent() -> None:
    assert await passed(speech(1), speech(2)) == [1, 2]


async def test_speculative_speech_waits_for_the_end_of_the_turn() -> None:
    heard = await passed(
        UserStartedSpeakingFrame(), speech(1), speech(2), UserStoppedSpeakingFrame(), speech(3)
    )
    assert heard == ["UserStartedSpeakingFrame", "UserStoppedSpeakingFrame", 1, 2, 3]


async def test_a_withdrawn_answer_is_never_heard() -> None:
    heard = await passed(
        UserStartedSpeakingFrame(),
        speech(1),
        EagerEndOfTurnCancelFrame(),
        speech(2),
        UserStoppedSpeakingFrame(),
    )
    assert [mark for mark in heard if isinstance(mark, int)] == [2]


async def test_an_interruption_empties_the_gate() -> None:
    heard = await passed(
        UserStartedSpeakingFrame(), speech(1), InterruptionFrame(), UserStoppedSpeakingFrame(), speech(2)
    )
    assert [mark for mark in heard if isinstance(mark, int)] == [2]


async def test_a_transfer_outlives_an_interruption() -> None:
    heard = await passed(
        UserStartedSpeakingFrame(),
        speech(1),
        TransferFrame(),
        InterruptionFrame(),
        UserStoppedSpeakingFrame(),
    )
    assert heard[-2:] == ["UserStoppedSpeakingFrame", "TransferFrame"]
    assert 1 not in heard
