"""The archive of recordings, for operators: what there is, handed out for a reason, erased for good.

A recording is a file on the host that made it and a wrapped key in the session service's database. Whoever
asks for one is written into the audit chain first; without that, nothing is handed out or destroyed.
"""

from __future__ import annotations

import getpass
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import class_row

from tellerline import audit
from tellerline.connector import recording
from tellerline.database import postgres
from tellerline.errors import RecordingError
from tellerline.settings import RecordingSettings, SessionSettings

_COLUMNS = """
SELECT call_id, file, host, wrapped_key, key_id, started_at, seconds, bytes, complete, destroyed_at
FROM session.recording
"""
_NEWEST = _COLUMNS + "ORDER BY started_at DESC LIMIT %s"
_OF_CALL = _COLUMNS + "WHERE call_id = %s ORDER BY started_at"
_DESTROYED = _COLUMNS + "WHERE wrapped_key IS NULL AND destroyed_at IS NOT NULL AND host = %s"
_DESTROY = """
UPDATE session.recording SET wrapped_key = NULL, destroyed_at = coalesce(destroyed_at, now())
WHERE call_id = %s AND wrapped_key IS NOT NULL
"""


@dataclass(frozen=True)
class Recording:
    """One recording, as its row says. `seconds`, `bytes` and `complete` are None while the call runs."""

    call_id: str
    file: str
    host: str
    wrapped_key: bytes | None
    key_id: str
    started_at: datetime
    seconds: float | None
    bytes: int | None
    complete: bool | None
    destroyed_at: datetime | None


class Archive:
    """The recordings of a site. `await Archive.open(...)`; close it."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], chain: audit.Chain) -> None:
        self._connection = connection
        self._chain = chain

    @classmethod
    async def open(cls, settings: SessionSettings) -> Archive:
        """Connects as the session service does. Raises RecordingError, AuditError or SettingsError."""
        chain = audit.Chain(audit.read_key(settings.audit_key), service="recordings")
        try:
            connection = await psycopg.AsyncConnection.connect(**postgres.parameters(settings.database))
        except psycopg.OperationalError as error:
            raise RecordingError(f"the database of recordings cannot be reached: {error}") from error
        return cls(connection, chain)

    async def close(self) -> None:
        """Ends the connection."""
        await self._connection.close()

    async def newest(self, count: int) -> list[Recording]:
        """The newest recordings, those without a key included."""
        return await self._fetch(_NEWEST, count)

    async def of_call(self, call_id: str) -> Recording:
        """The recording of a call. Raises RecordingError when it has none."""
        found = await self._fetch(_OF_CALL, call_id)
        if not found:
            raise RecordingError(f"call {call_id} has no recording; `tellerline recordings list` shows those")
        return found[0]

    async def export(self, call_id: str, reason: str, settings: RecordingSettings, wav: Path) -> bool:
        """Writes the recording of a call to `wav`, once that is in the audit chain; whether it is complete.

        Raises RecordingError: destroyed, made on another host, altered.
        """
        about = await self.of_call(call_id)
        if about.wrapped_key is None:
            raise RecordingError(f"the recording of call {call_id} was destroyed at {about.destroyed_at}")
        if about.key_id != settings.key_id:
            raise RecordingError(
                f"the recording of call {call_id} is under site key {about.key_id}, not {settings.key_id}; "
                "give connector settings with that `recording.site_key` and `key_id`"
            )
        path = _present(settings.folder / about.file, about.host)
        _absent(wav)
        key = recording.SiteKey(settings).unwrap(about.wrapped_key, call_id)
        async with self._connection.transaction(), self._connection.cursor() as cursor:
            await self._append(cursor, "recording_exported", about, reason)
        return recording.export(path, call_id, key, wav)

    async def destroy(self, call_id: str, reason: str, settings: RecordingSettings | None) -> Recording:
        """Destroys the key of a call's recording: from now on the file is noise, in every copy there is.

        The file goes as well where it is on this host. Raises RecordingError when there is no recording; one
        that was destroyed before stays so.
        """
        about = await self.of_call(call_id)
        async with self._connection.transaction(), self._connection.cursor() as cursor:
            await cursor.execute(_DESTROY, (call_id,))
            if cursor.rowcount:
                await self._append(cursor, "recording_destroyed", about, reason)
        if settings is not None:
            (settings.folder / about.file).unlink(missing_ok=True)
        return await self.of_call(call_id)

    async def sweep(self, settings: RecordingSettings) -> int:
        """Removes this host's files whose key was destroyed, by command, retention or erasure; how many.

        They are noise already: this gives back the disk.
        """
        removed = 0
        for about in await self._fetch(_DESTROYED, socket.gethostname()):
            path = settings.folder / about.file
            if path.is_file():
                path.unlink()
                removed += 1
        return removed

    async def _append(
        self, cursor: psycopg.AsyncCursor[Any], action: str, about: Recording, reason: str
    ) -> None:
        detail = {"file": about.file, "reason": reason, "operator": getpass.getuser()}
        await self._chain.append(cursor, audit.Entry(action, about.call_id, detail=detail))

    async def _fetch(self, query: str, value: object) -> list[Recording]:
        async with self._connection.cursor(row_factory=class_row(Recording)) as cursor:
            await cursor.execute(query, (value,))
            rows = await cursor.fetchall()
        await self._connection.commit()
        return rows


def _present(path: Path, host: str) -> Path:
    if not path.is_file():
        raise RecordingError(f"{path}: is not on this host; ask on {host}, which made it")
    return path


def _absent(path: Path) -> None:
    if path.exists():
        raise RecordingError(f"{path}: exists; name a new file")
