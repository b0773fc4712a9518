"""Pacing on the play-out position, and what counts as heard."""

from __future__ import annotations

import asyncio

from tellerline.pipeline.playout import LEAD_SAMPLES, Playout


def playout() -> tuple[Playout[str], list[str]]:
    heard: list[str] = []
    return Playout(heard.append), heard


async def test_audio_runs_ahead_by_the_lead_and_no_further() -> None:
    line, _ = playout()
    for _ in range(LEAD_SAMPLES // 160):
        assert await line.room(160)
        line.send(160)
    waiting = asyncio.create_task(line.room(160))
    await asyncio.sleep(0)
    assert not waiting.done()
    line.advance(160)
    assert await waiting


async def test_words_are_heard_when_their_audio_was_played() -> None:
    line, heard = playout()
    line.send(320)
    line.mark("hello")
    line.send(320)
    line.mark("there")
    line.advance(319)
    assert heard == []
    line.advance(320)
    assert heard == ["hello"]
    line.advance(640)
    assert heard == ["hello", "there"]
    assert not line.unheard


async def test_a_mark_behind_nothing_is_heard_at_once() -> None:
    line, heard = playout()
    line.mark("end")
    assert heard == ["end"]


async def test_a_flush_drops_what_was_not_played() -> None:
    line, heard = playout()
    line.send(800)
    line.mark("never")
    waiting = asyncio.create_task(line.room(160))
    await asyncio.sleep(0)
    line.advance(160)
    late = asyncio.create_task(line.room(800))
    await asyncio.sleep(0)
    line.flush()
    assert await waiting
    assert not await late
    assert not line.unheard
    line.advance(640)
    assert heard == []


async def test_after_a_flush_pacing_starts_where_the_connector_is() -> None:
    line, heard = playout()
    line.send(800)
    line.advance(320)
    line.flush()
    # The connector had played another tick before the flush reached it.
    line.advance(480)
    assert await line.room(800)
    line.send(800)
    line.mark("new")
    line.advance(1279)
    assert heard == []
    line.advance(1280)
    assert heard == ["new"]
