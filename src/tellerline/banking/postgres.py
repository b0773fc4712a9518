"""PostgreSQL behind the books of banking: attempts, quotes and executions, each with its audit entry."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.resources
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tellerline import audit
from tellerline.banking import books
from tellerline.banking.authorisation import Refusal
from tellerline.banking.model import Money
from tellerline.database import postgres
from tellerline.errors import BooksAway
from tellerline.monitoring import metrics
from tellerline.settings import DatabaseSettings

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_Cursor = psycopg.AsyncCursor[DictRow]

# Past this a transaction is given up on: a caller hears that money is closed rather than silence. What is
# given up on may still commit, and every transaction below is such that it may.
_PATIENCE_SECONDS = 2.0
_PROBE_SECONDS = 0.5


def queries() -> dict[str, str]:
    """The statements of queries.sql by name."""
    text = importlib.resources.files("tellerline.banking").joinpath("queries.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


class Database:
    """A pool of connections that says at once when the database is away.

    The first operation that fails closes it; while it is closed every operation raises BooksAway without
    trying, and one probe after the other tries to open it.
    """

    def __init__(self, settings: DatabaseSettings, chain: audit.Chain) -> None:
        self._settings = settings
        self._chain = chain
        self._sql = queries()
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
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
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

    def __init__(self, cursor: _Cursor, sql: dict[str, str], chain: audit.Chain) -> None:
        self._cursor = cursor
        self._sql = sql
        self._chain = chain

    async def do(self, name: str, **values: Any) -> int:
        """Runs a statement; returns how many rows it touched."""
        await self._cursor.execute(self._sql[name].encode(), values)
        return self._cursor.rowcount

    async def rows(self, name: str, **values: Any) -> list[DictRow]:
        """The rows a statement returns."""
        await self._cursor.execute(self._sql[name].encode(), values)
        return await self._cursor.fetchall()

    async def row(self, name: str, **values: Any) -> DictRow | None:
        """The first row a statement returns."""
        await self._cursor.execute(self._sql[name].encode(), values)
        return await self._cursor.fetchone()

    async def audit(self, event: books.Event) -> None:
        """Appends to the audit chain, whose lock is held until the end of the transaction: do it last."""
        await self._chain.append(
            self._cursor, audit.Entry(event.action, event.call_id, event.subject, event.detail)
        )


class PostgresAttempts:
    """books.Attempts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, subjects: tuple[str, ...], limit: int) -> int | None:
        """See books.Attempts."""

        async def work(statements: Statements) -> int | None:
            await statements.do("seed_attempts", subjects=list(subjects))
            rows = await statements.rows("lock_attempts", subjects=list(subjects))
            most = max(row["failures"] for row in rows)
            if most >= limit:
                return None
            for row in rows:
                await statements.do("count_attempt", subject=row["subject"], failures=row["failures"] + 1)
            return int(most) + 1

        return await self._database.within(work)

    async def succeeded(self, subjects: tuple[str, ...], event: books.Event) -> None:
        """See books.Attempts."""

        async def work(statements: Statements) -> None:
            await statements.rows("lock_attempts", subjects=list(subjects))
            await statements.do("clear_attempts", subject=subjects[0])
            await statements.do("give_back_attempts", subjects=list(subjects[1:]))
            await statements.audit(event)

        await self._database.within(work)

    async def failed(self, subjects: tuple[str, ...], limit: int | None, event: books.Event) -> None:
        """See books.Attempts."""

        async def work(statements: Statements) -> None:
            if limit is not None:
                await statements.do("raise_attempts", subject=subjects[0], failures=limit)
            await statements.audit(event)

        await self._database.within(work)

    async def withdrawn(self, subjects: tuple[str, ...]) -> None:
        """See books.Attempts."""

        async def work(statements: Statements) -> None:
            await statements.rows("lock_attempts", subjects=list(subjects))
            await statements.do("give_back_attempts", subjects=list(subjects))

        await self._database.within(work)

    async def failures(self, subjects: tuple[str, ...]) -> int:
        """See books.Attempts."""

        async def work(statements: Statements) -> int:
            row = await statements.row("most_failures", subjects=list(subjects))
            assert row is not None
            return int(row["failures"])

        return await self._database.within(work)


class PostgresOrders:
    """books.Orders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spent(self, call_id: str, customer: str) -> books.Spent:
        """See books.Orders."""
        return await self._database.within(lambda statements: _spent(statements, call_id, customer))

    async def keep(self, quote: books.QuoteRow, valid_seconds: int, event: books.Event) -> None:
        """See books.Orders."""

        async def work(statements: Statements) -> None:
            await statements.do(
                "keep_quote",
                quote_id=quote.quote_id,
                call_id=quote.call_id,
                customer=quote.customer,
                bank_quote_id=quote.bank_quote_id,
                kind=quote.kind,
                from_account_id=quote.from_account_id,
                to_id=quote.to_id,
                amount_minor=quote.amount.minor_units,
                fee_minor=quote.fee.minor_units,
                currency=quote.amount.currency,
                valid_seconds=valid_seconds,
                bank_valid_until=quote.bank_valid_until,
            )
            await statements.audit(event)

        await self._database.within(work)

    async def begin(
        self, quote_id: UUID, decide: Callable[[books.Ledger | None], books.OrderRow | books.Intent]
    ) -> tuple[books.Ledger, books.OrderRow | None]:
        """See books.Orders."""

        async def work(statements: Statements) -> tuple[books.Ledger, books.OrderRow | None]:
            ledger = await _ledger(statements, quote_id)
            decided = decide(ledger)
            assert ledger is not None
            if isinstance(decided, books.OrderRow):
                return ledger, decided
            await statements.do(
                "begin_execution",
                quote_id=quote_id,
                idempotency_key=decided.idempotency_key,
                confirmed_by=decided.confirmed_by,
                sealed_customer=decided.sealed_customer,
                ask_seconds=decided.ask_seconds,
            )
            await statements.audit(decided.event)
            return ledger, None

        return await self._database.within(work)

    async def settle(self, quote_id: UUID, row: books.OrderRow, event: books.Event) -> books.OrderRow:
        """See books.Orders."""

        async def work(statements: Statements) -> books.OrderRow:
            if row.state is books.OrderState.IN_DOUBT:
                changed = await statements.do("doubt_execution", quote_id=quote_id)
            else:
                changed = await statements.do(
                    "settle_execution",
                    quote_id=quote_id,
                    state=row.state.value,
                    reference=row.reference,
                    refusal=row.refusal.value if row.refusal else "",
                )
            if changed:
                await statements.audit(event)
                return row
            stands = await statements.row("execution", quote_id=quote_id)
            return _order_row(stands) if stands else row

        return await self._database.within(work)

    async def doubts(self, count: int, again_seconds: float, margin_seconds: float) -> list[books.Doubt]:
        """See books.Orders."""

        async def work(statements: Statements) -> list[books.Doubt]:
            rows = await statements.rows(
                "claim_doubts", count=count, again_seconds=again_seconds, margin_seconds=margin_seconds
            )
            return [
                books.Doubt(
                    _quote_row(row), row["idempotency_key"], bytes(row["sealed_customer"]), row["lapsed"]
                )
                for row in rows
            ]

        return await self._database.within(work)

    async def unsettled(self) -> int:
        """See books.Orders."""

        async def work(statements: Statements) -> int:
            row = await statements.row("unsettled")
            assert row is not None
            return int(row["count"])

        return await self._database.within(work)


async def _ledger(statements: Statements, quote_id: UUID) -> books.Ledger | None:
    found = await statements.row("quote", quote_id=quote_id)
    if found is None:
        return None
    # A quote never changes, so it could be read before the lock that is named after its customer. What is
    # read from here on includes whatever the lock's last holder has committed (READ COMMITTED).
    quote = _quote_row(found)
    await statements.rows("lock_customer", customer=quote.customer)
    order = await statements.row("execution", quote_id=quote_id)
    spent = await _spent(statements, quote.call_id, quote.customer)
    return books.Ledger(quote, found["expired"], _order_row(order) if order else None, spent)


async def _spent(statements: Statements, call_id: str, customer: str) -> books.Spent:
    row = await statements.row("spent", call_id=call_id, customer=customer)
    assert row is not None
    return books.Spent(row["call"], row["day"])


def _quote_row(row: DictRow) -> books.QuoteRow:
    return books.QuoteRow(
        quote_id=row["quote_id"],
        call_id=row["call_id"],
        customer=row["customer"],
        bank_quote_id=row["bank_quote_id"],
        kind=row["kind"],
        from_account_id=row["from_account_id"],
        to_id=row["to_id"],
        amount=Money(row["amount_minor"], row["currency"]),
        fee=Money(row["fee_minor"], row["currency"]),
        bank_valid_until=row["bank_valid_until"],
    )


def _order_row(row: DictRow) -> books.OrderRow:
    refusal = Refusal(row["refusal"]) if row["refusal"] else None
    return books.OrderRow(books.OrderState(row["state"]), row["reference"], refusal)


class PostgresJournal:
    """books.Journal: a queue in memory, written in batches by `run`.

    What is queued when the process is killed is lost here; the pipeline's own record of the tool call is not.
    """

    def __init__(self, database: Database, size: int = 10_000, batch: int = 100) -> None:
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
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._queue.join(), 2 * _PATIENCE_SECONDS)
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
                await asyncio.sleep(_PROBE_SECONDS)
            except Exception:
                log.exception("%d events could not be audited", len(events))
                metrics.BANKING_UNAUDITED.inc(len(events))
                return
