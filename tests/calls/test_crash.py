"""Daemons killed in a call: the caller hears an apology, is answered again or let go politely."""

from __future__ import annotations

import os
import signal
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from held import spooled

from tellerline.engine.store import ModelStore
from tellerline.robot import rtp
from tellerline.robot.dial import place
from tellerline.robot.g711 import PCMU, Samples
from tellerline.robot.hearing import Ear
from tellerline.robot.process import CallPlan, Event
from tellerline.robot.script import AwaitAnswer, AwaitEnd, HangUp, Pause, Press, Say, Step
from tellerline.robot.trace import CallTrace, Line
from tellerline.stack import Stack

# A minute on the reference box; four where it is busy with something else.
pytestmark = pytest.mark.timeout(300)

GREETED, RESUMED, ANSWERED = 0, 1, 2
# Words of the fixed phrases that the recogniser gets right over G.711.
HEARD_GREETING = "automated assistant"
HEARD_APOLOGY = "something went wrong"
HEARD_RESUMED = "go on"
HEARD_OPENING_HOURS = "branches"
HEARD_GOODBYE = "thank you for calling"
# The pipeline's next life loads its models and phrases meanwhile.
RESTART_MS = 8_000
# The engine loads and tests its models.
ENGINE_RESTART_MS = 20_000
ASKS_AGAIN: tuple[Step, ...] = (
    AwaitAnswer(GREETED),
    Pause(RESUMED, RESTART_MS),
    Press(ANSWERED, "1", "1"),
    AwaitAnswer(ANSWERED),
    HangUp(ANSWERED),
)


@pytest.fixture
def stack(model_store: ModelStore, home: Path) -> Iterator[Stack]:
    """A stack of its own for each test: they kill its parts."""
    # No "are you still there?" between the apology and the next question.
    pipeline = {"limits": {"silence_prompt_seconds": 60.0}}
    with Stack(home=home, pipeline=pipeline, model_store=model_store.root) as running:
        yield running


@pytest.fixture(scope="module")
def ear(model_store: ModelStore) -> Ear:
    """The caller's ear."""
    return Ear(model_store.path("whisper-tiny-en"))


def heard(trace: CallTrace, ear: Ear, since_ns: int = 0) -> str:
    """What the caller heard in the call, or from a moment of it on, in small letters."""
    arrived = zip(trace.arrived_ns, trace.datagrams, strict=True)
    packets = (rtp.parse(datagram) for at_ns, datagram in arrived if at_ns >= since_ns)
    payload = b"".join(packet.payload for packet in packets if packet and packet.payload_type == 0)
    return ear.hear(PCMU.decode(payload)).lower()


def in_order(text: str, *parts: str) -> bool:
    """Whether `parts` stand in `text`, each once, one behind the other."""
    places = [text.find(part) for part in parts]
    return -1 not in places and places == sorted(places) and all(text.count(part) == 1 for part in parts)


def phrase(stack: Stack, key: str) -> Samples:
    """A fixed phrase as it was rendered; S16 8 kHz."""
    with wave.open(str(stack.phrases / f"{key}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


async def call(stack: Stack, steps: tuple[Step, ...], on_event: Callable[[Event], None]) -> CallTrace:
    (lane,) = stack.state.lanes
    (trace,) = await place([CallPlan("crash", lane.sip_uri, steps, max_seconds=60)], on_event)
    return trace


def killer(stack: Stack, unit: str, *turns: int) -> Callable[[Event], None]:
    """Kills `unit` when the bot has finished speaking in each of `turns`."""
    due = list(turns)

    def on_event(event: Event) -> None:
        if event.kind == "bot_quiet" and due and event.turn == due[0]:
            due.pop(0)
            pid = stack.supervisor.pid(unit)
            assert pid is not None, f"{unit} is down already"
            os.kill(pid, signal.SIGKILL)

    return on_event


def records(stack: Stack) -> list[dict[str, Any]]:
    (lane,) = stack.state.lanes
    return spooled(lane.spool)


async def test_a_killed_pipeline_is_apologised_for_and_the_call_goes_on(stack: Stack, ear: Ear) -> None:
    trace = await call(stack, ASKS_AGAIN, killer(stack, "pipeline@cpu-0", GREETED))
    text = heard(trace, ear)
    assert in_order(text, HEARD_GREETING, HEARD_APOLOGY, HEARD_RESUMED, HEARD_OPENING_HOURS), text
    (record,) = records(stack)
    assert (record["state"], record["reason"], record["attaches"]) == ("closed", "caller", 2)


async def test_a_killed_engine_is_apologised_for_and_the_call_goes_on(stack: Stack, ear: Ear) -> None:
    question = Line("Are you still there?", phrase(stack, "still_there"))
    steps: tuple[Step, ...] = (
        AwaitAnswer(GREETED),
        Say(RESUMED, question),
        AwaitAnswer(RESUMED),
        Pause(RESUMED, ENGINE_RESTART_MS),
        Say(ANSWERED, question),
        AwaitAnswer(ANSWERED),
        HangUp(ANSWERED),
    )
    kill, kinds = killer(stack, "engine@cpu", GREETED), []

    def on_event(event: Event) -> None:
        kinds.append(event.kind)
        kill(event)

    trace = await call(stack, steps, on_event)
    failed, answered = (mark.speech_ended_ns for mark in trace.marks if mark.kind == "say")
    assert HEARD_APOLOGY in heard(trace, ear, failed)
    assert HEARD_APOLOGY not in heard(trace, ear, answered)
    assert "no_answer" not in kinds
    (record,) = records(stack)
    assert (record["state"], record["reason"], record["attaches"]) == ("closed", "caller", 1)


async def test_a_call_that_saw_two_crashes_is_ended_politely(stack: Stack, ear: Ear) -> None:
    steps: tuple[Step, ...] = (
        AwaitAnswer(GREETED),
        Pause(RESUMED, RESTART_MS),
        Press(ANSWERED, "1", "1"),
        AwaitAnswer(ANSWERED),
        AwaitEnd(ANSWERED, 30_000),
    )
    trace = await call(stack, steps, killer(stack, "pipeline@cpu-0", GREETED, ANSWERED))
    text = heard(trace, ear)
    assert trace.ended_by == "bot"
    assert in_order(text, HEARD_GREETING, HEARD_RESUMED, HEARD_GOODBYE), text
    (record,) = records(stack)
    assert (record["state"], record["reason"], record["attaches"]) == ("closed", "pipeline_lost", 2)


async def test_a_killed_connector_leaves_its_record_and_takes_the_next_call(stack: Stack) -> None:
    await call(
        stack, (AwaitAnswer(GREETED), AwaitEnd(GREETED, 3_000)), killer(stack, "connector@cpu-0", GREETED)
    )
    stack.wait_until_ready()
    await call(stack, (AwaitAnswer(GREETED), HangUp(GREETED)), lambda event: None)
    assert sorted(str(record["state"]) for record in records(stack)) == ["closed", "orphaned"]
