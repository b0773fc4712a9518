"""A caller who waits for the bank hears that somebody is there, and only a caller who waits."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from pipecat.frames.frames import Frame, TTSSpeakFrame

from tellerline.pipeline.call import Call
from tellerline.pipeline.flows import front_desk
from tellerline.pipeline.flows.events import Said
from tellerline.pipeline.flows.front_desk import FrontDesk, _Turn
from tellerline.pipeline.flows.teller import Teller
from tellerline.pipeline.phrases import Phrases, Rendered


class Calling:
    """What of a Call a waiting front desk looks at."""

    phrases = Phrases({"one_moment": Rendered("One moment.", b"", ())})


class Desk(FrontDesk):
    """Keeps what it says."""

    def __init__(self) -> None:
        super().__init__(cast(Call, Calling()), cast(Teller, None))
        self.said: list[str] = []
        self.spoke = asyncio.Event()

    async def push_frame(self, frame: Frame, *_: Any) -> None:  # type: ignore[override]
        assert isinstance(frame, TTSSpeakFrame)
        self.said.append(frame.text)
        self.spoke.set()


def turn(confirmed: bool) -> _Turn:
    made = _Turn(Said("my balance"), speculative=not confirmed)
    if confirmed:
        made.confirmed.set()
    return made


async def loop_turns() -> None:
    """As many turns of the event loop as whatever is due without a wait can need."""
    for _ in range(100):
        await asyncio.sleep(0)


async def done_after(*events: asyncio.Event) -> str:
    """Work that ends once all of this has happened."""
    for event in events:
        await event.wait()
    return "done"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_desk, "FILLER_SECONDS", 0)


async def test_who_waits_for_the_bank_is_told_once() -> None:
    desk = Desk()
    assert await desk._patiently(turn(confirmed=True), done_after(desk.spoke)) == "done"
    assert desk.said == ["One moment."]


async def test_an_answer_in_time_needs_no_filler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_desk, "FILLER_SECONDS", 60)
    desk = Desk()
    assert await desk._patiently(turn(confirmed=True), done_after()) == "done"
    assert desk.said == []


async def test_a_speculation_is_filled_once_its_turn_is_over() -> None:
    desk, speculation = Desk(), turn(confirmed=False)
    waiting = asyncio.create_task(desk._patiently(speculation, done_after(desk.spoke)))
    await loop_turns()
    assert desk.said == []
    speculation.confirmed.set()
    assert await waiting == "done"
    assert desk.said == ["One moment."]


async def test_a_withdrawn_speculation_says_nothing() -> None:
    desk = Desk()
    waiting = asyncio.create_task(desk._patiently(turn(confirmed=False), done_after(asyncio.Event())))
    await loop_turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert desk.said == []


async def test_what_came_before_the_end_of_the_turn_needs_no_filler() -> None:
    desk, ended = Desk(), asyncio.Event()
    waiting = asyncio.create_task(desk._patiently(turn(confirmed=False), done_after(ended)))
    await loop_turns()
    ended.set()
    assert await waiting == "done"
    assert desk.said == []
