"""A customer who has signed in, and daemons killed in the call: nobody asks again who is calling."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tellerline.database import postgres
from tellerline.engine.store import ModelStore
from tellerline.monitoring import health
from tellerline.robot.dial import place
from tellerline.robot.process import CallPlan, Event
from tellerline.robot.script import AwaitAnswer, HangUp, Pause, Press, Step
from tellerline.robot.trace import CallTrace
from tellerline.stack import Stack

# The stack is started first; a call takes a minute, more where the machine is busy.
pytestmark = pytest.mark.timeout(400)

PIPELINE = "pipeline@cpu-0"
CUSTOMER, PIN, BALANCE = "10012345#", "4711#", "4"
GREETED, NUMBER_ASKED, PIN_ASKED, TOLD, TOLD_AGAIN, TOLD_AT_LAST = range(6)
# The connector's `reattach_seconds`: by then another pipeline has the call, or it has ended.
REATTACH_MS = 10_000
STORED_SECONDS = 30.0


def press(turn: int, keys: str) -> tuple[Step, ...]:
    # Between an answer's opening and the rest a busy machine may be silent for more than a second.
    return (Press(turn, keys, "•" * len(keys)), AwaitAnswer(turn, timeout_ms=20_000, quiet_ms=2_500))


SIGNS_IN: tuple[Step, ...] = (
    AwaitAnswer(GREETED),
    *press(NUMBER_ASKED, BALANCE),
    *press(PIN_ASKED, CUSTOMER),
    *press(TOLD, PIN),
)


@pytest.fixture(scope="module")
def stack(model_store: ModelStore, engine_socket: Path, module_home: Path) -> Iterator[Stack]:
    """Two instances of session and of banking behind one lane on the session's engine."""
    # No "are you still there?" while a daemon starts again.
    pipeline = {"engine_socket": engine_socket, "limits": {"silence_prompt_seconds": 60.0}}
    with Stack(
        bank=True, instances=2, home=module_home, model_store=model_store.root, pipeline=pipeline
    ) as running:
        yield running


def kill(stack: Stack, unit: str) -> None:
    pid = stack.supervisor.pid(unit)
    assert pid is not None, f"{unit} is down already"
    os.kill(pid, signal.SIGKILL)


async def call(stack: Stack, steps: tuple[Step, ...], after: dict[int, Callable[[], None]]) -> CallTrace:
    """One call; what is in `after` is done when the bot has finished its answer in that turn."""

    def on_event(event: Event) -> None:
        if event.kind == "bot_quiet" and event.turn in after:
            after.pop(event.turn)()

    (lane,) = stack.state.lanes
    (trace,) = await place([CallPlan("bank crash", lane.sip_uri, steps, max_seconds=150)], on_event)
    assert not after, "the call ended before everything had been killed"
    return trace


def rows(stack: Stack, query: str, *values: object) -> list[dict[str, Any]]:
    assert stack.back_office is not None
    where = postgres.parameters(stack.back_office.datastores.superuser("tellerline"))
    with psycopg.connect(**where, row_factory=dict_row) as connection:
        return connection.execute(query, values).fetchall()


async def closed(stack: Stack, trace: CallTrace) -> dict[str, Any]:
    """The call's row, once it is closed."""
    query = "SELECT * FROM session.call WHERE sip_call_id = %s AND state = 'closed'"
    async with asyncio.timeout(STORED_SECONDS):
        while not (found := rows(stack, query, trace.sip_call_id)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return found[0]


def played(stack: Stack, ended: dict[str, Any]) -> list[str]:
    """What the caller heard of each answer, in order, as far as it is stored."""
    query = "SELECT played FROM session.turn WHERE call_id = %s ORDER BY at, sequence"
    return [str(turn["played"]) for turn in rows(stack, query, ended["call_id"])]


def told(answers: list[str]) -> int:
    """In how many answers the caller heard a balance."""
    return sum("holds" in answer for answer in answers)


async def check_signed_in_once(stack: Stack, ended: dict[str, Any], balances: int) -> None:
    """So many balances were told, and only the first cost a customer number and a PIN."""
    # The pipeline's records come by another way than the end of the call.
    until = time.monotonic() + STORED_SECONDS
    while told(answers := played(stack, ended)) < balances and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    assert told(answers) == balances, "\n".join(answers)
    for secret in ("customer number", "telephone PIN"):
        assert sum(secret in answer for answer in answers) == 1, "\n".join(answers)


async def test_a_killed_pipeline_leaves_the_caller_signed_in(stack: Stack) -> None:
    steps = (*SIGNS_IN, Pause(TOLD_AGAIN, REATTACH_MS), *press(TOLD_AGAIN, BALANCE), HangUp(TOLD_AGAIN))
    trace = await call(stack, steps, {TOLD: lambda: kill(stack, PIPELINE)})
    ended = await closed(stack, trace)
    assert (ended["reason"], ended["attaches"]) == ("caller", 2)
    await check_signed_in_once(stack, ended, balances=2)


async def test_either_instance_of_session_and_banking_may_die_in_a_call(stack: Stack) -> None:
    # The first instances are those in use: clients begin with them, and move on only when one fails.
    def kill_the_first() -> None:
        kill(stack, "banking@0")
        kill(stack, "session@0")

    def kill_the_others() -> None:
        for daemon in ("banking", "session"):
            stack.daemons.wait(f"{daemon}@0", health.serving, stack.daemons.socket(daemon, "0"))
            kill(stack, f"{daemon}@1")

    steps = (*SIGNS_IN, *press(TOLD_AGAIN, BALANCE), *press(TOLD_AT_LAST, BALANCE), HangUp(TOLD_AT_LAST))
    trace = await call(stack, steps, {TOLD: kill_the_first, TOLD_AGAIN: kill_the_others})
    ended = await closed(stack, trace)
    assert (ended["reason"], ended["attaches"]) == ("caller", 1)
    await check_signed_in_once(stack, ended, balances=3)
