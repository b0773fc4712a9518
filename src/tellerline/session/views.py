"""Keeps the read side up with the truth: events go from the outbox to the stream, and calls from PostgreSQL
into the views as events tell of them.

An event is a hint: it names a call, which is read again as a whole. So events may come twice, late or in any
order, and a lost stream costs one rebuild.
"""

from __future__ import annotations

import asyncio
import logging
import socket

from tellerline.errors import TruthAway, ViewsAway
from tellerline.monitoring import metrics
from tellerline.session.postgres import PostgresCalls
from tellerline.session.redis import RedisViews

log = logging.getLogger(__name__)

_EVENTS_AT_ONCE = 500
# Events an instance left when it died are found by the others' next round.
_IDLE_SECONDS = 1.0
# Events gather for so long: views are for people, and a transaction for each would slow appends down.
_GATHER_SECONDS = 0.2
_WAIT_MS = 1000
_ABANDONED_MS = 10_000
_PAUSE_SECONDS = 1.0


class Relay:
    """Moves events from the outbox to the stream."""

    def __init__(self, calls: PostgresCalls, views: RedisViews) -> None:
        self._calls = calls
        self._views = views
        self._more = asyncio.Event()

    def told(self) -> None:
        """There are events."""
        self._more.set()

    async def run(self) -> None:
        """Relays for ever; what cannot be relayed stays in the outbox."""
        away = False
        while True:
            self._more.clear()
            try:
                while await self.relay_some() == _EVENTS_AT_ONCE:
                    pass
                away = False
            except (TruthAway, ViewsAway) as error:
                metrics.SESSION_VIEW_ERRORS.labels(stage="relay").inc()
                if not away:
                    log.warning("events wait in the outbox (%s)", error)
                away = True
                await asyncio.sleep(_PAUSE_SECONDS)
            try:
                async with asyncio.timeout(_IDLE_SECONDS):
                    await self._more.wait()
                    await asyncio.sleep(_GATHER_SECONDS)
            except TimeoutError:
                pass

    async def relay_some(self) -> int:
        """Relays the oldest events; returns how many."""
        async with self._calls.events(_EVENTS_AT_ONCE) as events:
            if events:
                await self._views.publish(events)
            return len(events)


class Builder:
    """Shows calls as events tell of them."""

    def __init__(self, calls: PostgresCalls, views: RedisViews, ttl_seconds: int, address: str = "") -> None:
        self._calls = calls
        self._views = views
        self._ttl_seconds = ttl_seconds
        # The same in every life of an instance: the group keeps every name it ever heard.
        self._consumer = f"{socket.gethostname()} {address}"

    async def run(self) -> None:
        """Builds for ever; events that could not be dealt with stay pending."""
        away = False
        while True:
            try:
                await self._views.join()
                if not await self._views.are_built():
                    log.info("built the views of %d calls anew", await self.rebuild())
                await self._build(await self._views.adopt(self._consumer, _ABANDONED_MS))
                await self._build(await self._views.take(self._consumer, _WAIT_MS))
                away = False
            except LookupError:
                continue
            except (TruthAway, ViewsAway) as error:
                metrics.SESSION_VIEW_ERRORS.labels(stage="build").inc()
                if not away:
                    log.warning("the views stand still (%s)", error)
                away = True
                await asyncio.sleep(_PAUSE_SECONDS)

    async def rebuild(self) -> int:
        """Forgets every view and builds those of open and recent calls; returns how many."""
        await self._views.hide_all()
        calls = await self._calls.find_recent(self._ttl_seconds)
        for call in calls:
            await self._views.show(call)
        await self._views.set_built()
        return len(calls)

    async def _build(self, events: list[tuple[bytes, str]]) -> None:
        if not events:
            return
        call_ids = {call_id for _, call_id in events if call_id}
        there = {call.call_id: call for call in await self._calls.find(sorted(call_ids))}
        for call_id in call_ids:
            if call_id in there:
                await self._views.show(there[call_id])
            else:
                await self._views.hide(call_id)
        await self._views.acknowledge([event_id for event_id, _ in events])
        metrics.SESSION_EVENTS.inc(len(events))
