"""Destroys what was kept long enough, on a timer or by command, and says so in the audit chain.

Transcripts are blanked, keys of recordings destroyed, calls deleted with all that hangs on them. The audit
itself is kept: it holds pseudonyms, and a chain with a hole proves nothing (KVKK's regulation of 28 October
2017 has records of destruction kept for three years at least).
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from tellerline import audit
from tellerline.database import queries
from tellerline.monitoring import metrics
from tellerline.settings import RetentionSettings

log = logging.getLogger(__name__)

SQL = queries.load(Path(__file__).with_name("destruction.sql"))
# Rows a transaction takes; what is stored meanwhile does not wait for more.
_BATCH_ROWS = 2000
_RETRY_SECONDS = 60.0


@dataclass(frozen=True)
class _Rule:
    """One kind of thing that is kept for some days."""

    statement: str
    kind: str
    days: int


class Retention:
    """The retention rules of a site, applied through an open pool of the session's role."""

    def __init__(
        self, pool: AsyncConnectionPool[Any], chain: audit.Chain, settings: RetentionSettings
    ) -> None:
        self._pool = pool
        self._chain = chain
        self._every_seconds = settings.every_hours * 3600
        self._rules = (
            _Rule("blank_turns", "turns", settings.transcripts_days),
            _Rule("blank_summaries", "summaries", settings.transcripts_days),
            _Rule("delete_set_aside", "set_aside", settings.transcripts_days),
            _Rule("destroy_recordings", "recordings", settings.recordings_days),
            _Rule("delete_calls", "calls", settings.calls_days),
        )

    async def run(self) -> None:
        """Applies the rules now and then every `every_hours`, for ever; a minute after a failure."""
        while True:
            try:
                await self.apply()
                pause = self._every_seconds
            except psycopg.Error as error:
                log.error("retention: %s; tried again in a minute", type(error).__name__)
                pause = min(_RETRY_SECONDS, self._every_seconds)
            await asyncio.sleep(pause)

    async def apply(self) -> dict[str, int]:
        """Destroys what is due; returns how many of each kind. Any number of instances may do so at once.

        Each batch and the audit entry that tells of it are one transaction: nothing goes without a trace.
        Raises psycopg.Error when the database cannot be asked; what was done until then stays done.
        """
        destroyed = {}
        for rule in self._rules:
            destroyed[rule.kind] = await self._apply(rule)
        metrics.RETENTION_RAN.set(time.time())
        log.info("retention: destroyed %s", ", ".join(f"{n} {kind}" for kind, n in destroyed.items()))
        return destroyed

    async def _apply(self, rule: _Rule) -> int:
        destroyed = 0
        while True:
            async with (
                self._pool.connection() as connection,
                connection.transaction(),
                connection.cursor() as cursor,
            ):
                await cursor.execute(SQL[rule.statement], {"days": rule.days, "count": _BATCH_ROWS})
                count = int(cursor.rowcount)
                if count:
                    detail: dict[str, audit.Scalar] = {"kind": rule.kind, "count": count, "days": rule.days}
                    await self._chain.append(cursor, audit.Entry("retention_applied", detail=detail))
            destroyed += count
            metrics.RETENTION_DESTROYED.labels(kind=rule.kind).inc(count)
            if count < _BATCH_ROWS:
                return destroyed
