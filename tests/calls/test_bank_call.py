"""`make call`: a customer signs in by keypad, is told, interrupts, is handed over; and what is left of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from held import held
from psycopg.rows import dict_row

from tellerline.database import postgres
from tellerline.engine.store import ModelStore
from tellerline.stack import Stack

TELLERLINE = (sys.executable, "-m", "tellerline")
# What the caller of the scenario types.
SECRETS = (b"10012345", b"4711#", b"pin 4711")


@pytest.fixture(scope="module")
def called(model_store: ModelStore, module_home: Path) -> Iterator[tuple[Stack, dict[str, Any]]]:
    """A stack with its bank, still running, and the report of the call it was given."""
    home = module_home
    with Stack(bank=True, home=home, model_store=model_store.root) as stack:
        call = (*TELLERLINE, "call", "bank_call", "--home", str(home), "--models", str(model_store.root))
        done = subprocess.run((*call, "--out", str(home / "call")), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        yield stack, json.loads((home / "call" / "call.json").read_text())


def rows(stack: Stack, query: str, *values: object) -> list[dict[str, Any]]:
    assert stack.back_office is not None
    where = postgres.parameters(stack.back_office.datastores.superuser("tellerline"))
    with psycopg.connect(**where, row_factory=dict_row) as connection:
        return connection.execute(query, values).fetchall()


# A call that other processes disturbed is placed again, twice at most, of a minute each.
@pytest.mark.timeout(400)
def test_the_call_holds_and_is_handed_over(called: tuple[Stack, dict[str, Any]]) -> None:
    stack, report = called
    assert stack.back_office is not None
    assert report["passed"]
    assert report["referred_to"].strip("<").startswith(stack.back_office.colleague_uri)
    assert "User-to-User" in report["referred_to"]


@pytest.mark.timeout(400)
def test_the_call_is_in_the_database(called: tuple[Stack, dict[str, Any]]) -> None:
    stack, report = called
    (call,) = rows(stack, "SELECT * FROM session.call WHERE sip_call_id = %s", report["sip_call_id"])
    assert call["reason"] == "transferred"
    turns = rows(stack, "SELECT * FROM session.turn WHERE call_id = %s", call["call_id"])
    intents = {turn["intent"] for turn in turns}
    assert {"card_delivery", "balance", "human"} <= intents


@pytest.mark.timeout(400)
def test_typed_secrets_are_nowhere(called: tuple[Stack, dict[str, Any]]) -> None:
    stack, _ = called
    searched = 0
    for path, data in held(stack.home).items():
        if not path.is_relative_to(stack.home / "phrases"):
            searched += 1
            assert [secret for secret in SECRETS if secret in data] == [], path
    assert searched > 20
