"""Banking's transactions in PostgreSQL, and knowing at once when there can be none."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tellerline import audit
from tellerline.banking import books
from tellerline.database import postgres, queries
from tellerline.errors import BooksAway
from tellerline.monitoring import metrics
from tellerline.settings import DatabaseSettings

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
# A row of a table.
Row = DictRow
_Cursor = psycopg.AsyncCursor[DictRow]

# Past this a transaction is given up on: a caller hears that money is closed rather than silence. What is
# given up on may still commit, and every transaction below is such that it may.
_PATIENCE_SECONDS = 2.0
_PROBE_SECONDS = 0.5
# A primary that became a standby, or whose disk is full, can be written to as little as one that is gone.
_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    PoolTimeout,
)
_QUERIES = Path(__file__).with_name("queries.sql")


class Database:
    """A pool of connections that says at once when the database is away.

    The first operation that fails closes it; while it is closed every operation raises BooksAway without
    trying, and one probe after the other tries to open it.
    """

    def __init__(self, settings: DatabaseSettings, chain: audit.Chain) -> None:
        self._settings = settings
        self._chain = chain
        self._sql = queries.load(_QUERIES)
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]] | None = None
        self._away = True
        self._probing: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def away(self) -> bool:
        """Whether nothing can be written."""
        return self._away

    async def open(self) -> None:
        """Connects. A database that is away is waited for in the background."""
        self._pool = AsyncConnectionPool(
            connection_class=psycopg.AsyncConnection[DictRow],
            kwargs=functools.partial(_parameters, self._settings),
            min_size=1,
            max_size=self._settings.pool_max,
            timeout=_PATIENCE_SECONDS,
            reconnect_timeout=5.0,
            # After a restart of the server every pooled connection is dead, and each would cost one caller.
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        await self._pool.open(wait=False)
        self._away = True
        metrics.BANKING_CLOSED.set(1)
        try:
            await self._patiently(self._try_connection())
            self._opened()
        except BooksAway:
            self._start_probing()

    async def close(self) -> None:
        """Ends probing and closes the connections."""
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close(timeout=_PATIENCE_SECONDS)

    async def within(self, work: Callable[[Statements], Awaitable[_Result]]) -> _Result:
        """Does `work` in one transaction. Raises BooksAway, and what `work` raises (then nothing is kept)."""
        if self._away:
            raise BooksAway("banking: the database is away")
        try:
            return await self._patiently(self._transact(work))
        except BooksAway:
            self._closed()
            raise

    async def _transact(self, work: Callable[[Statements], Awaitable[_Result]]) -> _Result:
        assert self._pool is not None
        async with (
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            return await work(Statements(cursor, self._sql, self._chain))

    async def _patiently(self, doing: Awaitable[_Result]) -> _Result:
        """`doing`, for as long as a caller can wait. It is left to itself then, for a connection whose server
        does not answer cannot be cancelled either."""
        task = asyncio.ensure_future(doing)
        self._running.add(task)
        task.add_done_callback(self._done)
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
        if not done:
            raise BooksAway(f"banking: the database did not answer within {_PATIENCE_SECONDS} s")
        try:
            return task.result()
        except _AWAY as error:
            raise BooksAway(f"banking: the database is away ({type(error).__name__})") from error

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()

    def _closed(self) -> None:
        if not self._away:
            log.error("the database is away: money and new authentications are closed")
        self._away = True
        metrics.BANKING_CLOSED.set(1)
        self._start_probing()

    def _opened(self) -> None:
        self._away = False
        metrics.BANKING_CLOSED.set(0)
        log.info("the database answers: money and new authentications are open")

    def _start_probing(self) -> None:
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        while self._away:
            await asyncio.sleep(_PROBE_SECONDS)
            try:
                await self._try_connection()
            except (psycopg.Error, PoolTimeout):
                continue
            self._opened()

    async def _try_connection(self) -> None:
        assert self._pool is not None
        async with self._pool.connection() as connection:
            # One that answers but only reads (a standby) is of no use here.
            cursor = await connection.execute("SELECT pg_is_in_recovery() AS standby")
            row = await cursor.fetchone()
            if row is None or row["standby"]:
                raise psycopg.OperationalError("a standby")


def _parameters(settings: DatabaseSettings) -> dict[str, Any]:
    return {**postgres.parameters(settings), "row_factory": dict_row}


class Statements:
    """The named statements within one transaction, and the audit chain."""

    def __init__(self, cursor: _Cursor, sql: dict[str, bytes], chain: audit.Chain) -> None:
        self._cursor = cursor
        self._sql = sql
        self._chain = chain

    async def do(self, name: str, **values: Any) -> int:
        """Runs a statement; returns how many rows it touched."""
        await self._cursor.execute(self._sql[name], values)
        return self._cursor.rowcount

    async def rows(self, name: str, **values: Any) -> list[DictRow]:
        """The rows a statement returns."""
        await self._cursor.execute(self._sql[name], values)
        return await self._cursor.fetchall()

    async def row(self, name: str, **values: Any) -> DictRow | None:
        """The first row a statement returns."""
        await self._cursor.execute(self._sql[name], values)
        return await self._cursor.fetchone()

    async def audit(self, event: books.Event) -> None:
        """Appends to the audit chain, whose lock is held until the end of the transaction: do it last."""
        await self._chain.append(
            self._cursor, audit.Entry(event.action, event.call_id, event.subject, event.detail)
        )
