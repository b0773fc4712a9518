"""Records that could not be stored, for operators: why, another try, or given up for a reason."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from tellerline import audit
from tellerline.database import queries
from tellerline.errors import TruthAway
from tellerline.rpc import session_pb2
from tellerline.session.postgres import PostgresCalls

SQL = queries.load(Path(__file__).with_name("aside.sql"))


@dataclass(frozen=True)
class Kept:
    """One record as it lies aside. `record` is the message with its texts redacted: show it to nobody."""

    id: int
    call_id: str
    producer: str
    sequence: str
    kind: str
    reason: str
    record: bytes
    set_aside_at: datetime


class Aside:
    """What lies aside, through an open pool of the session's role. Raises TruthAway."""

    def __init__(self, pool: AsyncConnectionPool[Any], chain: audit.Chain) -> None:
        self._pool = pool
        self._chain = chain
        self._calls = PostgresCalls(pool, chain, told=lambda: None)

    async def listed(self, ids: Sequence[int] = ()) -> list[Kept]:
        """Those with these ids, or all, oldest first."""
        try:
            async with (
                self._pool.connection() as connection,
                connection.cursor(row_factory=class_row(Kept)) as cursor,
            ):
                await cursor.execute(SQL["listed"], {"ids": list(ids) or None})
                found: list[Kept] = await cursor.fetchall()
                return found
        except psycopg.Error as error:
            raise TruthAway(f"postgres: {type(error).__name__}") from error

    async def retry(self, kept: Kept) -> str:
        """Stores the record if it can be stored by now; "", or why it still cannot.

        It is gone from here only once it is stored, so that a death between the two costs nothing.
        """
        why = await self._calls.store_again(session_pb2.Record.FromString(kept.record))
        if not why:
            await self._delete(kept, None)
        return why

    async def drop(self, kept: Kept, reason: str) -> None:
        """Gives the record up, for good; that, by whom and why is in the audit."""
        detail: dict[str, audit.Scalar] = {
            "producer": kept.producer,
            "sequence": kept.sequence,
            "kind": kept.kind,
            "reason": reason,
            "operator": getpass.getuser(),
        }
        await self._delete(kept, audit.Entry("set_aside_dropped", kept.call_id, detail=detail))

    async def _delete(self, kept: Kept, entry: audit.Entry | None) -> None:
        try:
            async with (
                self._pool.connection() as connection,
                connection.transaction(),
                connection.cursor() as cursor,
            ):
                await cursor.execute(SQL["delete"], {"id": kept.id})
                if entry is not None and cursor.rowcount:
                    await self._chain.append(cursor, entry)
        except psycopg.Error as error:
            raise TruthAway(f"postgres: {type(error).__name__}") from error
