"""The stack's Turkish number, by keypad over SIP: what is said, and what is kept of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tellerline import language, stack, stack_state
from tellerline.database import postgres
from tellerline.engine.store import ModelStore
from tellerline.robot import scenario as scenarios
from tellerline.robot.caller import Caller, Target
from tellerline.robot.conversation import Conversation

PHRASES = language.load("tr").phrases
SCENARIO = Path(stack.__file__).parent / "robot" / "scenarios" / "tr_call.yml"
# Loading, rendering Turkish for the first time, and a call of a minute.
pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Called:
    """A stack that still runs, and the call it was given."""

    stack: stack.Stack
    call: Conversation

    @property
    def said(self) -> str:
        """All that the bot says it has said, in its order."""
        spoken = (event.bot_spoke for event in self.call.events if event.WhichOneof("event") == "bot_spoke")
        return " ".join(one.text for one in spoken)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """What PostgreSQL holds of this call."""
        assert self.stack.back_office is not None
        where = postgres.parameters(self.stack.back_office.datastores.superuser("tellerline"))
        with psycopg.connect(**where, row_factory=dict_row) as connection:
            return connection.execute(query, (self.call.trace.sip_call_id,)).fetchall()


@pytest.fixture(scope="module")
def called(model_store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Called]:
    home = tmp_path_factory.mktemp("turkish")
    # Rendering English takes longest, and other tests have done so.
    (stack_state.HOME / "phrases").mkdir(parents=True, exist_ok=True)
    (home / "phrases").symlink_to(stack_state.HOME / "phrases")
    chosen = scenarios.load(SCENARIO)
    with stack.Stack(bank=True, home=home, model_store=model_store.root) as running:
        lane = running.state.lanes[0]
        assert chosen.number in running.numbers
        caller = Caller(model_store.root, stack.MANIFEST)
        uri = stack_state.dialled(lane.sip_uri, chosen.number)
        plan = caller.plan(chosen, uri, SCENARIO.parent)
        target = Target(uri, (lane.pipeline_socket,), ())
        run = asyncio.run(caller.run([(chosen, plan)], target, hear=False))
        yield Called(running, run.conversations[0])


def test_the_caller_is_served_in_turkish(called: Called) -> None:
    assert PHRASES["ask_customer_number"] in called.said
    assert PHRASES["ask_pin"] in called.said
    assert "kırk iki bin yüz elli lira yetmiş beş kuruş" in called.said
    assert "altı bir iki yedi" in called.said
    assert PHRASES["transferring"] in called.said


def test_nothing_was_said_in_english(called: Called) -> None:
    english = set(language.load("en").phrases.values()) - set(PHRASES.values())
    assert [phrase for phrase in english if phrase in called.said] == []


def test_the_caller_was_handed_over(called: Called) -> None:
    assert called.stack.back_office is not None
    assert called.call.trace.answered
    assert called.call.trace.referred_to.strip("<").startswith(called.stack.back_office.colleague_uri)


def test_the_call_is_in_the_database(called: Called) -> None:
    deadline = time.monotonic() + 30
    while not (
        found := called.rows("SELECT * FROM session.call WHERE sip_call_id = %s AND state = 'closed'")
    ):
        assert time.monotonic() < deadline, "the call was not closed within 30 s"
        time.sleep(0.2)
    (call,) = found
    assert (call["called"], call["reason"]) == ("turkce", "transferred")
    turns = called.rows(
        "SELECT turn.* FROM session.turn JOIN session.call USING (call_id) WHERE sip_call_id = %s"
    )
    assert {turn["language"] for turn in turns} == {"tr"}
    assert {"balance", "card_delivery", "human"} <= {turn["intent"] for turn in turns}
