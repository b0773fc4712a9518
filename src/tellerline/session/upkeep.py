"""What the service does by itself: gives up calls nobody vouches for, removes old contexts, measures."""

from __future__ import annotations

import asyncio
import logging
import time

from tellerline.errors import TruthAway
from tellerline.monitoring import metrics
from tellerline.session.postgres import PostgresCalls
from tellerline.settings import SessionSettings

log = logging.getLogger(__name__)

_ROUND_SECONDS = 1.0
# A round that took so long was not this service's time to judge others by: it hung, or the machine did.
_HUNG_SECONDS = 5.0
_PURGE_SECONDS = 60.0


class Grace:
    """Whether leases may be judged: not before lanes had the time to renew them here.

    While PostgreSQL or this service is away no lease can be renewed, and all of them lapse together.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._last = 0.0

    def passed(self, now: float) -> bool:
        """Called every round in which PostgreSQL answered; `now` in seconds, monotonic."""
        if self._since is None or now - self._last > _HUNG_SECONDS:
            self._since = now
        self._last = now
        return now - self._since >= self._seconds

    def begin_anew(self) -> None:
        """PostgreSQL did not answer."""
        if self._since is not None:
            log.warning(
                "PostgreSQL does not answer: no call is given up for lost before it has for %.0f s",
                self._seconds,
            )
        self._since = None


class Upkeep:
    """Runs beside the servicer; every instance does it, and no harm comes of that."""

    def __init__(self, calls: PostgresCalls, settings: SessionSettings) -> None:
        self._calls = calls
        self._ttl_seconds = settings.context_ttl_seconds
        self._grace = Grace(settings.orphan_grace_seconds)
        self._purge_at = 0.0

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self._round()
            except TruthAway:
                # At night nobody calls, and still it has to be noticed before somebody does.
                metrics.SESSION_UNAVAILABLE.labels(rpc="upkeep").inc()
                self._grace.begin_anew()
            await asyncio.sleep(_ROUND_SECONDS)

    async def _round(self) -> None:
        await self._calls.measure()
        now = time.monotonic()
        if self._grace.passed(now):
            lost = await self._calls.close_orphans()
            if lost:
                metrics.SESSION_ORPHANS.inc(lost)
                log.warning("closed %d calls as lost: their lane no longer vouches for them", lost)
        if now >= self._purge_at:
            self._purge_at = now + _PURGE_SECONDS
            await self._calls.purge_contexts(self._ttl_seconds)
