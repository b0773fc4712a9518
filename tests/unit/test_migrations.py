"""What every migration file must be, so that the release before survives it."""

from __future__ import annotations

import re

from tellerline.database import migrate
from tellerline.database.queries import load

# Statements that break a release still running: contract what nobody uses any more one release later, and say
# so here by name.
_BREAKING = re.compile(
    r"\b(DROP (TABLE|COLUMN|SCHEMA|FUNCTION)|RENAME|TRUNCATE|SET NOT NULL|ALTER COLUMN \w+ TYPE)\b",
    re.IGNORECASE,
)


def test_files_are_numbered_without_gaps() -> None:
    numbers = [int(migration.name[:4]) for migration in migrate.known()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_migrations_only_add() -> None:
    for migration in migrate.known():
        code = re.sub(r"--.*", "", migration.text)
        assert not _BREAKING.search(code), migration.name


def test_every_statement_has_a_purpose() -> None:
    path = migrate.FOLDER.parents[1] / "session" / "queries.sql"
    statements = load(path)
    assert len(statements) > 20
    for name, text in statements.items():
        assert text, name
        assert b"--" not in text, name
