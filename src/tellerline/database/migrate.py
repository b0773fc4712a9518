"""Brings the schema to this release: numbered SQL files, each applied once, in order, in its own transaction.

A release only adds what its predecessor does not mind (expand); what nobody uses any more goes one release
later (contract). So the previous release runs on the new schema, and a rollback needs no migration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tellerline.database import postgres
from tellerline.errors import MigrationError
from tellerline.settings import DatabaseSettings

FOLDER = Path(__file__).with_name("migrations")
# "tellerline" in no encoding at all: any number will do, as long as every release takes the same.
_LOCK = 7_331_004_217
# The applied ones are remembered by content: a file that was edited afterwards is a schema nobody tested.
_TABLE = """
CREATE TABLE IF NOT EXISTS public.migration (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True)
class Migration:
    """One file: `0001_session.sql`."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Of the file's text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def known(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """The migrations of this release, in order."""
    files = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return tuple(Migration(file.name, file.read_text(encoding="utf-8")) for file in files)


def apply(database: DatabaseSettings, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Applies what is missing, as the owner's role; returns the names applied. Blocks.

    Runs at once are safe: the second waits for the first. Migrations of a later release are left alone.
    Raises MigrationError when the database cannot be reached, a file fails, or an applied one was edited.
    """
    wanted = known() if migrations is None else migrations
    applied: list[str] = []
    try:
        with psycopg.connect(**postgres.parameters(database), autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            connection.execute(_TABLE)
            for migration in missing(connection, wanted):
                with connection.transaction():
                    _apply_one(connection, migration)
                applied.append(migration.name)
    except psycopg.OperationalError as error:
        raise MigrationError(f"database: {_first_line(error)}; check `database.dsn`") from error
    except psycopg.Error as error:
        raise MigrationError(f"database: {_first_line(error)}") from error
    return applied


def missing(connection: psycopg.Connection, wanted: Sequence[Migration]) -> list[Migration]:
    """Which of `wanted` the database has not. Raises MigrationError for one that was edited after."""
    rows = connection.execute("SELECT name, sha256 FROM public.migration").fetchall()
    there: dict[str, str] = {name: sha256 for name, sha256 in rows}
    for migration in wanted:
        if there.get(migration.name, migration.sha256) != migration.sha256:
            raise MigrationError(
                f"{migration.name} was changed after it had been applied; put it back and add a new migration"
            )
    return [migration for migration in wanted if migration.name not in there]


def _apply_one(connection: psycopg.Connection, migration: Migration) -> None:
    try:
        # Bytes: the text is this release's own, not a query put together from parts.
        connection.execute(migration.text.encode())
    except psycopg.Error as error:
        raise MigrationError(f"{migration.name}: {_first_line(error)}; nothing of it was applied") from error
    connection.execute(
        "INSERT INTO public.migration (name, sha256) VALUES (%s, %s)", (migration.name, migration.sha256)
    )


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
