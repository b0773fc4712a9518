"""The schema as PostgreSQL has it: applied once, and each daemon's role with no right too many."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from tellerline import embedded
from tellerline.cli.main import cli
from tellerline.database import migrate, postgres
from tellerline.errors import MigrationError


@pytest.fixture
def session(fresh: embedded.Fresh) -> Iterator[psycopg.Connection]:
    """A connection as the session daemon's role."""
    with psycopg.connect(**postgres.parameters(fresh.database("session")), autocommit=True) as connection:
        yield connection


def test_second_run_changes_nothing(fresh: embedded.Fresh) -> None:
    assert migrate.apply(fresh.database("owner")) == []


def test_runs_at_once_apply_each_migration_once(datastores: embedded.Datastores) -> None:
    with psycopg.connect(**postgres.parameters(datastores.superuser("postgres")), autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS raced")
        admin.execute("CREATE DATABASE raced OWNER tellerline_owner")
    with ThreadPoolExecutor(3) as threads:
        applied = list(threads.map(lambda _: migrate.apply(datastores.database("owner", "raced")), range(3)))
    names = [migration.name for migration in migrate.known()]
    assert sorted(applied, key=len) == [[], [], names]


def test_failing_migration_leaves_nothing_and_names_itself(fresh: embedded.Fresh) -> None:
    text = "CREATE TABLE session.half (x int); SELECT nothing FROM nowhere;"
    broken = migrate.Migration("9999_broken.sql", text)
    with pytest.raises(MigrationError, match=r"9999_broken\.sql"):
        migrate.apply(fresh.database("owner"), [*migrate.known(), broken])
    with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
        assert connection.execute("SELECT to_regclass('session.half')").fetchone() == (None,)
    assert migrate.apply(fresh.database("owner")) == []


def test_migration_that_was_edited_is_refused(fresh: embedded.Fresh) -> None:
    first, *rest = migrate.known()
    edited = migrate.Migration(first.name, first.text + "-- and more\n")
    with pytest.raises(MigrationError, match="changed"):
        migrate.apply(fresh.database("owner"), [edited, *rest])


def test_previous_release_leaves_a_later_migration_alone(fresh: embedded.Fresh) -> None:
    later = migrate.Migration("9998_later.sql", "CREATE TABLE session.later (x int)")
    assert migrate.apply(fresh.database("owner"), [*migrate.known(), later]) == ["9998_later.sql"]
    assert migrate.apply(fresh.database("owner")) == []


def test_command_applies_and_tells(fresh: embedded.Fresh, tmp_path: Path) -> None:
    owner = fresh.database("owner")
    command = ["migrate", "--dsn", owner.dsn, "--password-file", str(owner.password)]
    done = CliRunner().invoke(cli, command)
    assert (done.exit_code, done.output) == (0, "nothing to do\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    refused = CliRunner().invoke(cli, [*command[:-1], str(wrong)])
    assert isinstance(refused.exception, MigrationError)
    assert "authentication failed" in str(refused.exception)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE session.record SET kind = 'x'",
        "UPDATE session.turn SET intent = 'x'",
        "UPDATE session.tool_call SET outcome = 'x'",
        "UPDATE session.handover SET reference = 'x'",
        "UPDATE session.set_aside SET reason = 'x'",
        "UPDATE session.outbox SET kind = 'x'",
        "TRUNCATE session.turn",
        "TRUNCATE session.call CASCADE",
        "DROP TABLE session.turn",
        "ALTER TABLE session.turn ADD COLUMN x int",
        "CREATE TABLE session.mine (x int)",
        "CREATE TABLE public.mine (x int)",
        "CREATE SCHEMA mine",
        "UPDATE audit.entry SET action = 'x'",
        "DELETE FROM audit.entry",
        "TRUNCATE audit.entry",
        "SELECT * FROM banking.quote",
        "INSERT INTO public.migration (name, sha256) VALUES ('x', 'x')",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY session.call TO PROGRAM 'cat'",
        "CREATE ROLE more",
        "SET ROLE tellerline_owner",
    ],
)
def test_sessions_role_is_denied(session: psycopg.Connection, statement: str) -> None:
    # 42501 insufficient_privilege; each statement is right but for that, as the owner may do most of them.
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(statement.encode())


def test_banking_sees_nothing_of_conversations(fresh: embedded.Fresh) -> None:
    with psycopg.connect(**postgres.parameters(fresh.database("banking")), autocommit=True) as banking:
        for table in ("call", "turn", "context", "handover", "recording"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                banking.execute(f"SELECT * FROM session.{table}".encode())


async def test_password_is_read_at_every_connection(
    datastores: embedded.Datastores, fresh: embedded.Fresh, tmp_path: Path
) -> None:
    given = fresh.database("session")
    assert given.password is not None
    mine = tmp_path / "password"
    mine.write_bytes(given.password.read_bytes())
    pool = postgres.pool(given.model_copy(update={"password": mine, "pool_max": 1}))
    async with pool:
        async with pool.connection() as connection:
            await connection.execute("SELECT 1")
        mine.write_text("changed, and the database knows nothing of it")
        async with asyncio.timeout(10):
            await pool.drain()
            with pytest.raises(psycopg.OperationalError):
                async with pool.connection(timeout=1):
                    pass
