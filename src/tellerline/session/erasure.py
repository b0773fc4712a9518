"""Removes a person from everything that is kept, but for the pseudonymous audit (GDPR Art. 17, KVKK Art. 7).

Which calls were theirs only the audit knows: banking writes an entry with the customer's pseudonym for
whoever identifies. Whoever never did is nobody to us, and goes with retention.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tellerline import audit
from tellerline.database import queries
from tellerline.errors import ViewsAway
from tellerline.session.redis import RedisViews

SQL = queries.load(Path(__file__).with_name("destruction.sql"))
_TELL = queries.load(Path(__file__).with_name("queries.sql"))["tell"]
# What a customer may be known by: the bank's reference, and the number typed on the telephone.
_KINDS = ("customer", "customer_number")
_STATEMENTS = ("turns", "tool_calls", "contexts", "handovers", "set_aside", "recordings", "calls")


@dataclass(frozen=True)
class Erased:
    """What went. `open_calls` and `unsettled` orders still go on: erase again when they ended.

    Of an erased call nothing more is kept, whatever is still in a spool; but banking may learn more in one
    that goes on.
    """

    call_ids: tuple[str, ...]
    counts: dict[str, int]
    open_calls: int
    unsettled: int
    # False: Redis could not be reached; its views follow when it can, or end with their time.
    views: bool

    @property
    def complete(self) -> bool:
        """Whether nothing of the customer is left."""
        return not self.open_calls and not self.unsettled


class Eraser:
    """Erases customers through one connection of the session's role, in no transaction."""

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], key: audit.AuditKey, views: RedisViews
    ) -> None:
        self._connection = connection
        self._key = key
        self._chain = audit.Chain(key, "session")
        self._views = views

    async def erase(self, identifiers: Sequence[str], reason: str) -> Erased:
        """Removes the customer known by any of `identifiers`: customer numbers and the bank's references.

        One transaction, with the audit entry of it: all or nothing. Doing it again is harmless. Raises
        psycopg.Error when the database cannot be asked.
        """
        subjects = [self._key.pseudonym(name, kind) for name in identifiers for kind in _KINDS]
        connection = self._connection
        async with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(SQL["calls_of"], {"subjects": subjects})
            names = {"call_ids": [row["call_id"] for row in await cursor.fetchall()]}
            await cursor.execute(SQL["lock_calls"], names)
            calls = await cursor.fetchall()
            # Who called counts failures too.
            callers = {row["caller"] for row in calls if row["caller"]}
            counts = {}
            for what in _STATEMENTS:
                await cursor.execute(SQL[f"erase_{what}"], names)
                counts[what] = cursor.rowcount
            reach = subjects + [self._key.pseudonym(caller, "caller") for caller in sorted(callers)]
            await cursor.execute(SQL["erase_from_banking"], {"subjects": reach})
            banking = await cursor.fetchone()
            assert banking is not None
            counts |= {"attempts": banking["attempts"], "quotes": banking["quotes"]}
            events = {"call_ids": names["call_ids"], "kinds": ["call_erased"] * len(names["call_ids"])}
            await cursor.execute(_TELL, events)
            detail: dict[str, audit.Scalar] = {"reason": reason, "operator": getpass.getuser(), **counts}
            for subject in subjects:
                await self._chain.append(
                    cursor, audit.Entry("customer_erased", subject=subject, detail=detail)
                )
        return Erased(
            call_ids=tuple(names["call_ids"]),
            counts=counts,
            open_calls=sum(row["state"] == "open" for row in calls),
            unsettled=banking["unsettled"],
            views=await self._hide(names["call_ids"]),
        )

    async def _hide(self, call_ids: Sequence[str]) -> bool:
        try:
            for call_id in call_ids:
                await self._views.hide(call_id)
        except ViewsAway:
            return False
        return True
