"""When leases may be judged."""

from __future__ import annotations

import asyncio

from tellerline.errors import TruthAway
from tellerline.monitoring import metrics
from tellerline.session.upkeep import Grace, Upkeep
from tellerline.settings import SessionSettings


def test_grace_passes_with_rounds_that_answer() -> None:
    grace = Grace(3.0)
    assert [grace.passed(now) for now in (100.0, 101.0, 102.0, 103.0, 104.0)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_grace_begins_anew_when_postgres_was_away() -> None:
    grace = Grace(2.0)
    assert [grace.passed(now) for now in (10.0, 11.0, 12.0)] == [False, False, True]
    grace.begin_anew()
    assert [grace.passed(now) for now in (13.0, 14.0, 15.0)] == [False, False, True]


def test_grace_begins_anew_when_this_process_hung() -> None:
    grace = Grace(2.0)
    assert [grace.passed(now) for now in (10.0, 12.0, 60.0, 61.0, 62.0)] == [False, True, False, False, True]


class Away:
    """PostgreSQL when it is away."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def measure(self) -> None:
        self.asked.set()
        raise TruthAway("postgres: away")


async def test_a_database_that_is_away_is_counted_though_nobody_calls() -> None:
    settings = SessionSettings.model_validate(
        {"database": {"dsn": "host=nowhere"}, "redis": {"url": "unix:///nowhere"}, "audit_key": "/nowhere"}
    )
    counted = metrics.SESSION_UNAVAILABLE.labels(rpc="upkeep")
    before, away = counted._value.get(), Away()
    running = asyncio.create_task(Upkeep(away, settings).run())  # type: ignore[arg-type]
    await asyncio.wait_for(away.asked.wait(), 5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert counted._value.get() == before + 1
