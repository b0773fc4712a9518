"""The truth: calls and records in PostgreSQL, with the events that tell of them in its outbox."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from tellerline import audit
from tellerline.database import queries
from tellerline.errors import TruthAway
from tellerline.monitoring import metrics
from tellerline.rpc import session_pb2
from tellerline.session import records
from tellerline.session.model import Call, PastTurn, unix_ms
from tellerline.session.ports import Stored

log = logging.getLogger(__name__)

SQL = queries.load(Path(__file__).with_name("queries.sql"))
# How long a call lives on without a lease after it was first heard of.
_FIRST_LEASE_SECONDS = 60
# Faults of the record itself, whoever stores it: wrong data (SQLSTATE class 22) and broken constraints (23).
_FAULTS = (psycopg.DataError, psycopg.IntegrityError)

Cursor = psycopg.AsyncCursor[DictRow]
Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]


class PostgresCalls:
    """Implements ports.Calls over an open pool. `told()` is called after each commit that left events."""

    def __init__(self, pool: Pool, chain: audit.Chain, told: Callable[[], None]) -> None:
        self._pool = pool
        self._chain = chain
        self._told = told

    async def append(self, given: Sequence[session_pb2.Record]) -> Stored:
        """Stores `given` in one transaction; only where one cannot be stored, each in its own."""
        rows: list[tuple[int, records.Row]] = []
        refused: list[tuple[int, str]] = []
        for index, record in enumerate(given):
            try:
                rows.append((index, records.row(record)))
            except ValueError as error:
                refused.append((index, str(error)))
        try:
            fresh = await self._store([row for _, row in rows])
        except _FAULTS:
            fresh = 0
            for index, row in rows:
                try:
                    fresh += await self._store([row])
                except _FAULTS as error:
                    refused.append((index, f"{row.kind}: {_reason(error)}"))
        if refused:
            await self._set_aside([(given[index], reason) for index, reason in refused])
        self._told()
        known = len(given) - fresh - len(refused)
        metrics.SESSION_RECORDS.labels(outcome="stored").inc(fresh)
        metrics.SESSION_RECORDS.labels(outcome="known").inc(known)
        return Stored(fresh, known, tuple(sorted(refused)))

    async def store_again(self, record: session_pb2.Record) -> str:
        """Stores a record that was set aside; "", or why it still cannot be stored."""
        try:
            await self._store([records.row(record)])
        except ValueError as error:
            return str(error)
        except _FAULTS as error:
            return f"{record.WhichOneof('fact')}: {_reason(error)}"
        self._told()
        return ""

    async def lease(self, lane: str, call_ids: Sequence[str], seconds: int) -> None:
        """Renews the lane's lease and those of its calls."""
        values = {"lane": lane, "call_ids": list(call_ids), "seconds": seconds}
        async with self._transaction() as cursor:
            await cursor.execute(SQL["lease"], values)
            await cursor.execute(SQL["found_again"], values)
            found = [row["call_id"] for row in await cursor.fetchall()]
            await cursor.execute(SQL["lease_calls"], values)
            if found:
                log.warning("%d calls given up for lost are alive", len(found))
                await self._tell(cursor, [(call_id, "call_found") for call_id in found])
        if found:
            self._told()

    async def find(self, call_ids: Sequence[str], within_seconds: float | None = None) -> list[Call]:
        """Those of `call_ids` that exist, in no order."""
        async with self._transaction(within_seconds) as cursor:
            await cursor.execute(SQL["calls"], {"call_ids": list(call_ids)})
            return [_call(row) for row in await cursor.fetchall()]

    async def find_open(self) -> list[Call]:
        """Every open call, oldest first."""
        return await self._find_all("open_calls", {})

    async def find_recent(self, ttl_seconds: int) -> list[Call]:
        """Open calls and those that ended within `ttl_seconds`, oldest first."""
        return await self._find_all("recent_calls", {"ttl_seconds": ttl_seconds})

    async def call_of(self, reference: str) -> str | None:
        """The call handed over under `reference`."""
        async with self._transaction() as cursor:
            await cursor.execute(SQL["call_of_reference"], {"reference": reference})
            row = await cursor.fetchone()
            return row["call_id"] if row is not None else None

    async def recordings(self, host: str, files: Sequence[str]) -> dict[str, bool]:
        """Those of `files` of `host` that a call has; whether their key is still there."""
        async with self._transaction() as cursor:
            await cursor.execute(SQL["recordings_of"], {"host": host, "files": list(files)})
            return {row["file"]: row["has_key"] for row in await cursor.fetchall()}

    # ---- upkeep, one round each

    async def close_orphans(self) -> int:
        """Gives up for lost every open call whose lease has lapsed; returns how many."""
        async with self._transaction() as cursor:
            await cursor.execute(SQL["close_orphans"])
            lost = await cursor.fetchall()
            await self._tell(cursor, [(row["call_id"], "call_lost") for row in lost])
            for row in lost:
                await self._chain.append(
                    cursor, audit.Entry("call_lost", row["call_id"], detail={"lane": row["lane"]})
                )
        if lost:
            self._told()
        return len(lost)

    async def purge_contexts(self, ttl_seconds: int) -> int:
        """Removes conversation contexts nobody saved to for `ttl_seconds`; returns how many."""
        async with self._transaction() as cursor:
            await cursor.execute(SQL["purge_contexts"], {"ttl_seconds": ttl_seconds})
            return cursor.rowcount

    async def measure(self) -> None:
        """Sets the gauges only the database knows."""
        async with self._transaction() as cursor:
            await cursor.execute(SQL["outbox_lag"])
            row = await cursor.fetchone()
            metrics.SESSION_OUTBOX_LAG_SECONDS.set(next(iter(row.values())) if row else 0.0)
            await cursor.execute(SQL["count_set_aside"])
            row = await cursor.fetchone()
            metrics.SESSION_SET_ASIDE.set(next(iter(row.values())) if row else 0)

    @contextlib.asynccontextmanager
    async def events(self, count: int) -> AsyncIterator[list[tuple[str, str]]]:
        """The next events (call_id, kind) in order; gone from the outbox once the block ended without error.

        Empty where there are none, or another instance is at it.
        """
        async with self._transaction() as cursor:
            await cursor.execute(SQL["relay_turn"])
            turn = await cursor.fetchone()
            if turn is None or not turn["mine"]:
                yield []
                return
            await cursor.execute(SQL["take_events"], {"count": count})
            taken = sorted(await cursor.fetchall(), key=lambda row: row["id"])
            yield [(row["call_id"], row["kind"]) for row in taken]

    # ---- storing

    async def _store(self, rows: Sequence[records.Row]) -> int:
        """How many of `rows` were not known."""
        if not rows:
            return 0
        async with self._transaction() as cursor:
            # Two round trips in all, whatever there is to store.
            async with cursor.connection.pipeline():
                await cursor.execute(SQL["ensure_calls"], _calls_of(rows))
                await cursor.execute(SQL["insert_records"], _records_of(rows))
            new = {tuple(row.values()) for row in await cursor.fetchall()}
            # The first of a pair within one request is the one that was stored.
            fresh = [row for row in {row.key: row for row in reversed(rows)}.values() if row.key in new]
            fresh.reverse()
            async with cursor.connection.pipeline():
                for row in fresh:
                    for statement in row.statements:
                        await cursor.execute(SQL[statement], row.values)
                await self._tell(cursor, [(row.call_id, row.kind) for row in fresh])
            for row in fresh:
                if row.audited is not None:
                    await self._chain.append(cursor, row.audited)
        return len(fresh)

    async def _set_aside(self, refused: Sequence[tuple[session_pb2.Record, str]]) -> None:
        async with self._transaction() as cursor:
            for record, reason in refused:
                log.error("set a record aside (%s); see session.set_aside", reason)
                await cursor.execute(SQL["set_aside"], records.set_aside_values(record, reason))
        metrics.SESSION_RECORDS.labels(outcome="set_aside").inc(len(refused))

    async def _tell(self, cursor: Cursor, events: Sequence[tuple[str, str]]) -> None:
        if events:
            names = {"call_ids": [call_id for call_id, _ in events], "kinds": [kind for _, kind in events]}
            await cursor.execute(SQL["tell"], names)

    async def _find_all(self, named: str, values: dict[str, Any]) -> list[Call]:
        async with self._transaction() as cursor:
            await cursor.execute(SQL[named], values)
            call_ids = [row["call_id"] for row in await cursor.fetchall()]
            await cursor.execute(SQL["calls"], {"call_ids": call_ids})
            found = [_call(row) for row in await cursor.fetchall()]
        return sorted(found, key=lambda call: (call.opened_unix_ms, call.call_id))

    @contextlib.asynccontextmanager
    async def _transaction(self, within_seconds: float | None = None) -> AsyncIterator[Cursor]:
        """A cursor in a transaction. Raises TruthAway for whatever is not the fault of what is stored."""
        try:
            async with (
                self._pool.connection(within_seconds) as connection,
                connection.transaction(),
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                yield cursor
        except _FAULTS:
            raise
        except psycopg.Error as error:
            # Its text may quote what was stored; the class and SQLSTATE do not.
            raise TruthAway(f"postgres: {_reason(error)}") from error


def _calls_of(rows: Sequence[records.Row]) -> dict[str, Any]:
    calls = {row.call_id: row for row in reversed(rows)}
    return {
        "call_ids": list(calls),
        "lanes": [row.lane for row in calls.values()],
        "ats": [row.at for row in calls.values()],
        "lease_seconds": _FIRST_LEASE_SECONDS,
    }


def _records_of(rows: Sequence[records.Row]) -> dict[str, Any]:
    return {
        "call_ids": [row.call_id for row in rows],
        "producers": [row.key[1] for row in rows],
        "sequences": [row.key[2] for row in rows],
        "kinds": [row.kind for row in rows],
        "ats": [row.at for row in rows],
    }


def _call(row: DictRow) -> Call:
    return Call(
        call_id=row["call_id"],
        lane=row["lane"],
        state=row["state"],
        reason=row["reason"],
        opened_unix_ms=unix_ms(row["opened_at"]),
        closed_unix_ms=unix_ms(row["closed_at"]),
        version=row["version"],
        language=row["language"],
        phase=row["phase"],
        state_json=row["state_json"],
        turns=row["turns"],
        intents=tuple(row["intents"]),
        handover_summary=row["handover_summary"],
        last_turns=tuple(PastTurn(heard, played) for heard, played in row["last_turns"]),
    )


def _reason(error: psycopg.Error) -> str:
    return f"{type(error).__name__} {error.sqlstate or ''}".strip()
