"""`tellerline session set-aside`: why a record lies there, another try, or given up for a reason."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
import pytest
from records import append, opened, record, rows, turn
from test_destruction import tellerline

from tellerline import embedded
from tellerline.database import postgres

_SAID = "aubergine"


@pytest.fixture
def command(service: Any) -> Any:
    """The command as an operator gives it: exit status and output."""

    def run(*words: str) -> tuple[int, str]:
        done = tellerline("session", "set-aside", *words, "--config", str(service.config))
        return done.returncode, done.stdout + done.stderr

    return run


def _change(fresh: embedded.Fresh, statement: LiteralString) -> None:
    with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
        connection.execute(statement)


async def _set_aside(client: Any, fresh: embedded.Fresh, call_id: str) -> None:
    """A turn that this schema refuses, and a record without a fact."""
    _change(fresh, "ALTER TABLE session.turn ADD CONSTRAINT forbidden CHECK (turn_id <> 2)")
    refused = turn(call_id, 2, heard=f"I like {_SAID}")
    reply = await append(client, opened(call_id), refused, record(call_id, 4))
    assert [aside.index for aside in reply.set_aside] == [1, 2]


async def test_it_says_why_and_when_and_nothing_of_what_was_said(
    client: Any, fresh: embedded.Fresh, call_id: str, command: Any
) -> None:
    assert command("list") == (0, "nothing lies aside\n")
    await _set_aside(client, fresh, call_id)
    status, told = command("list")
    assert status == 0 and _SAID not in told and len(told.splitlines()) == 2
    assert f"{call_id}  pipeline@cpu-0/1  2  turn_taken  turn_taken: CheckViolation" in told
    assert f"{call_id}  pipeline@cpu-0/1  4  -  holds no fact this release knows\n" in told


async def test_what_can_be_stored_by_now_is_stored(
    client: Any, fresh: embedded.Fresh, call_id: str, command: Any
) -> None:
    await _set_aside(client, fresh, call_id)
    status, told = command("retry")
    assert status == 1 and told.count("stays: ") == 2
    _change(fresh, "ALTER TABLE session.turn DROP CONSTRAINT forbidden")
    status, told = command("retry")
    assert status == 1
    assert ": stored\n" in told and "stays: holds no fact this release knows" in told
    assert rows(fresh, "SELECT heard FROM session.turn WHERE call_id = %s", call_id) == [(f"I like {_SAID}",)]
    assert rows(fresh, "SELECT sequence::int FROM session.set_aside") == [(4,)]


async def test_what_is_given_up_is_in_the_audit(
    client: Any, fresh: embedded.Fresh, call_id: str, command: Any
) -> None:
    await _set_aside(client, fresh, call_id)
    [(first,), (second,)] = rows(fresh, "SELECT id FROM session.set_aside ORDER BY sequence")
    assert command("drop", str(first))[0] == 2
    assert command("drop", str(first), "--reason", " ")[0] == 2
    assert command("drop", "--reason", "all of them?")[0] == 2
    assert command("drop", "999999", "--reason", "x")[0] == 1
    assert len(rows(fresh, "SELECT 1 FROM session.set_aside")) == 2
    assert command("drop", str(first), "--reason", "told to the bank")[0] == 0
    assert rows(fresh, "SELECT id FROM session.set_aside") == [(second,)]
    audited = rows(fresh, "SELECT call_id, detail FROM audit.entry WHERE action = 'set_aside_dropped'")
    [(audited_call, detail)] = audited
    assert audited_call == call_id
    assert all(word in str(detail) for word in ("told to the bank", "operator", "turn_taken"))
    assert _SAID not in str(detail)
    assert command("drop", "--all", "--reason", "rest")[0] == 0
    assert rows(fresh, "SELECT id FROM session.set_aside") == []


async def test_a_database_that_is_away_is_said(service: Any, command: Any) -> None:
    text = service.config.read_text()
    service.config.write_text(text.replace("host=", "host=/nonexistent", 1))
    status, told = command("list")
    assert status != 0 and "Traceback" not in told
