"""Call records as CSV files, one a day: who was on the line when, how it went, and nothing that was said."""

from __future__ import annotations

import csv
import getpass
import io
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import psycopg

from tellerline import audit
from tellerline.database import postgres, queries
from tellerline.settings import DatabaseSettings

Callers = Literal["full", "masked", "none"]

SQL = queries.load(Path(__file__).with_name("export.sql"))
_FILE = re.compile(r"calls-(\d{4}-\d{2}-\d{2})\.csv")
# Spreadsheets run what begins like a formula, and a caller chooses their own name. A plain number is none.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9.]+")
_ENDING_DIGITS = 2
_MASKABLE_DIGITS = 6


async def write(
    database: DatabaseSettings, folder: Path, days: Sequence[date], callers: Callers, chain: audit.Chain
) -> dict[Path, int]:
    """Writes the file of each day into `folder`; returns how many calls are in each.

    Who exports what is in the audit first; where that cannot be written, nothing is. A day is written again
    as a whole, since records of a lane that was cut off come late. Raises psycopg.Error when the database
    cannot be asked, and leaves what was there.
    """
    written = {}
    parameters = postgres.parameters(database)
    async with await psycopg.AsyncConnection.connect(**parameters, autocommit=True) as connection:
        await _tell(connection, chain, days, callers)
        for day in days:
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            cursor = await connection.execute(SQL["calls_of_day"], {"day": start})
            names = [column.name for column in cursor.description or ()]
            rows = await cursor.fetchall()
            path = folder / f"calls-{day.isoformat()}.csv"
            _write_whole(path, _csv(names, rows, callers))
            written[path] = len(rows)
    return written


async def _tell(
    connection: psycopg.AsyncConnection[Any], chain: audit.Chain, days: Sequence[date], callers: Callers
) -> None:
    detail: dict[str, audit.Scalar] = {
        "first_day": min(days).isoformat(),
        "last_day": max(days).isoformat(),
        "days": len(set(days)),
        "callers": callers,
        "operator": getpass.getuser(),
    }
    async with connection.transaction(), connection.cursor() as cursor:
        await chain.append(cursor, audit.Entry("calls_exported", detail=detail))


def due(today: date, days: int) -> list[date]:
    """The `days` days before `today`, oldest first: today is not over."""
    return [today - timedelta(days=back) for back in range(days, 0, -1)]


def prune(folder: Path, today: date, keep_days: int) -> list[Path]:
    """Removes files of days longer ago than `keep_days`; returns them. Other files are left alone."""
    oldest = today - timedelta(days=keep_days)
    gone = [
        path
        for path in sorted(folder.iterdir())
        if (named := _FILE.fullmatch(path.name)) and date.fromisoformat(named[1]) < oldest
    ]
    for path in gone:
        path.unlink()
    return gone


def _csv(names: Sequence[str], rows: Iterable[Sequence[Any]], callers: Callers) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    writer.writerow(names)
    caller = names.index("caller")
    for row in rows:
        cells = [_cell(value) for value in row]
        cells[caller] = masked(cells[caller], callers)
        writer.writerow(harmless(cell) for cell in cells)
    return text.getvalue()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case float():
            return f"{value:.1f}"
    return str(value)


def masked(caller: str, callers: Callers) -> str:
    """A caller's number as the site wants it; `masked` leaves two digits of it, and of a name nothing."""
    if callers == "full" or not caller:
        return caller
    digits = re.sub(r"\D", "", caller)
    ending = digits[-_ENDING_DIGITS:] if len(digits) >= _MASKABLE_DIGITS else ""
    return f"***{ending}" if callers == "masked" else ""


def harmless(cell: str) -> str:
    """A cell no spreadsheet takes for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _write_whole(path: Path, text: str) -> None:
    """Replaces `path` in one step, for whoever fetches it meanwhile; readable by the folder's group."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".calls-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o640)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
