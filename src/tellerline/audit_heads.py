"""Signed heads of the audit chain, kept in a folder outside the database, so that a cut tail shows.

A file a service and day, a line a head, only ever added to. Copy the folder to where the database's
administrators have no say (the log line "audit head" goes wherever the journal goes): who holds both
the database and every copy can cut unseen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from tellerline.audit import AuditKey, Head
from tellerline.monitoring import metrics

log = logging.getLogger(__name__)

# A daemon that ends waits no longer for a database that is away.
_WAIT_SECONDS = 2.0
_TAIL = "SELECT newest, mac FROM audit.tail()"


@dataclass(frozen=True)
class KeptHead:
    """One line of a heads file, as read back."""

    file: str
    line: int
    position: int
    mac: bytes
    at: str
    # False: damaged, or not signed with a key of this site.
    genuine: bool


class Heads:
    """The heads folder, as one service writes it."""

    def __init__(self, folder: Path, key: AuditKey, service: str) -> None:
        self._folder = folder
        self._key = key
        self._service = service
        self._newest = 0

    def keep(self, head: Head) -> None:
        """Adds `head`, which must be committed, durably. An older one than the last is passed over.

        About 1 ms of fsync; raises OSError when the disk takes no more.
        """
        if head.position <= self._newest:
            return
        now = datetime.now(UTC)
        at = now.isoformat(timespec="seconds")
        fields = _fields(head.position, head.mac, at, self._service)
        mac = self._key.head_mac(self._key.current_id, fields)
        assert mac is not None
        line = {
            "position": head.position,
            "mac": head.mac.hex(),
            "at": at,
            "service": self._service,
            "key_id": self._key.current_id,
            "signature": mac.hex(),
        }
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{self._service}-{now:%Y-%m-%d}.heads"
        # One write of less than a page to a file opened to append: two instances on a host do not mix lines.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # Begun anew: a line a power cut tore before this one stays the only one damaged.
            os.write(descriptor, f"\n{json.dumps(line)}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._newest = head.position
        metrics.AUDIT_HEAD.set(head.position)
        log.info("audit head %d %s signed %s", head.position, head.mac.hex(), mac.hex())

    async def keep_committed(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Keeps the newest committed entry's head. `connection`: in no transaction."""
        async with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(_TAIL)
            row = await cursor.fetchone()
        if row is not None and row[0] is not None:
            await asyncio.to_thread(self.keep, Head(*row))


async def keep_always(heads: Heads, pool: AsyncConnectionPool[Any], every_seconds: float = 60.0) -> None:
    """Keeps the newest head now and every `every_seconds` until cancelled, and once more then.

    Database or disk away: counted, logged, and tried again the next time.
    """
    try:
        while True:
            await _try_to_keep(heads, pool)
            await asyncio.sleep(every_seconds)
    except asyncio.CancelledError:
        await _try_to_keep(heads, pool)
        raise


@contextlib.asynccontextmanager
async def keeping(heads: Heads, pool: AsyncConnectionPool[Any]) -> AsyncIterator[None]:
    """Keeps heads while the context is open, and a last one when it ends."""
    task = asyncio.create_task(keep_always(heads, pool))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _try_to_keep(heads: Heads, pool: AsyncConnectionPool[Any]) -> None:
    try:
        async with pool.connection(timeout=_WAIT_SECONDS) as connection:
            await heads.keep_committed(connection)
    except (psycopg.Error, OSError) as error:
        metrics.AUDIT_HEAD_FAILURES.inc()
        log.error("audit: the newest head could not be kept: %s", type(error).__name__)


def read(folder: Path, key: AuditKey) -> Iterator[KeptHead]:
    """Every head kept in `folder` by whatever service, each with whether its signature holds.

    Raises OSError where a file cannot be read.
    """
    for path in sorted(folder.glob("*.heads")):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if line:
                yield _read_line(line, path.name, number, key)


def _read_line(line: str, file: str, number: int, key: AuditKey) -> KeptHead:
    try:
        data = json.loads(line)
        position, mac, at = int(data["position"]), bytes.fromhex(data["mac"]), str(data["at"])
        expected = key.head_mac(str(data["key_id"]), _fields(position, mac, at, str(data["service"])))
        genuine = expected is not None and expected == bytes.fromhex(data["signature"])
    except (ValueError, KeyError, TypeError):
        return KeptHead(file, number, 0, b"", "", False)
    return KeptHead(file, number, position, mac, at, genuine)


def _fields(position: int, mac: bytes, at: str, service: str) -> tuple[Any, ...]:
    return ("head", 1, position, mac.hex(), at, service)
