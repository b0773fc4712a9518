"""Audit of enquiries, written soon after them: no caller waits for it, nor for a database that is away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from tellerline.banking import books
from tellerline.banking.postgres import Database, Statements
from tellerline.errors import BooksAway
from tellerline.monitoring import metrics

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.5
# How long the end of the service waits for what is still to be written.
_LAST_SECONDS = 4.0


class PostgresJournal:
    """books.Journal: a queue in memory, written in batches by `run`.

    What is queued when the process is killed is lost here; the pipeline's own record of the tool call is not.
    """

    def __init__(self, database: Database, size: int = 10_000, batch: int = 20) -> None:
        self._database = database
        self._queue: asyncio.Queue[books.Event] = asyncio.Queue(size)
        self._batch = batch

    def note(self, event: books.Event) -> None:
        """See books.Journal. Drops and counts the event where the database has been away for too long."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            metrics.BANKING_UNAUDITED.inc()
        metrics.BANKING_JOURNAL.set(self._queue.qsize())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Writes what is noted until left; then writes what there is, for as long as the database answers."""
        writer = asyncio.create_task(self._write())
        try:
            yield
        finally:
            try:
                await asyncio.wait_for(self._queue.join(), _LAST_SECONDS)
            except TimeoutError:
                metrics.BANKING_UNAUDITED.inc(self._queue.qsize())
                log.error("the database is away: %d enquiries end unaudited", self._queue.qsize())
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    async def _write(self) -> None:
        while True:
            events = [await self._queue.get()]
            while len(events) < self._batch and not self._queue.empty():
                events.append(self._queue.get_nowait())
            await self._store(events)
            for _ in events:
                self._queue.task_done()
            metrics.BANKING_JOURNAL.set(self._queue.qsize())

    async def _store(self, events: list[books.Event]) -> None:
        async def work(statements: Statements) -> None:
            for event in events:
                await statements.audit(event)

        while True:
            try:
                await self._database.within(work)
                return
            except BooksAway:
                await asyncio.sleep(_AGAIN_SECONDS)
            except Exception:
                log.exception("%d events could not be audited", len(events))
                metrics.BANKING_UNAUDITED.inc(len(events))
                return
