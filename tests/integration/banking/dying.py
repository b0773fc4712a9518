"""An instance of the banking service that kills itself (SIGKILL) at a chosen step of the next order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from tellerline.banking import orders, postgres, rest, server, tables
from tellerline.settings import BankingSettings

# "in_…" are inside the transaction, between its statements and the commit.
STEPS = (
    "before_intent",
    "in_intent",
    "intent_written",
    "while_bank_works",
    "bank_answered",
    "in_settling",
    "settled",
)


def serve(chosen: BankingSettings, step: str) -> None:
    """Serves until it dies."""
    # The others need not wait as long as they would for an order that might still be under way.
    orders._ASK_SECONDS = 1.0
    # It dies of the order it is given, not of one it finds.
    orders.Doubts.run = _idle  # type: ignore[method-assign]
    _arm(step)
    asyncio.run(server.serve(chosen))


async def _idle(*_: Any) -> None:
    await asyncio.Event().wait()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(step: str) -> None:
    match step:
        case "before_intent":
            _around(tables.PostgresOrders, "begin", before=_die)
        case "in_intent":
            _at_audit("order_intended")
        case "intent_written":
            _around(tables.PostgresOrders, "begin", after=_die)
        case "bank_answered":
            _around(rest.RestBank, "execute", after=_die)
        case "in_settling":
            _at_audit("order_executed")
        case "settled":
            _around(tables.PostgresOrders, "settle", after=_die)
        case _:
            assert step == "while_bank_works", step


def _around(
    owner: Any, name: str, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None
) -> None:
    real = getattr(owner, name)

    async def wrapped(*given: Any) -> Any:
        if before is not None:
            before()
        result = await real(*given)
        if after is not None:
            after()
        return result

    setattr(owner, name, wrapped)


def _at_audit(action: str) -> None:
    real = postgres.Statements.audit

    async def wrapped(self: Any, event: Any) -> None:
        await real(self, event)
        if event.action == action:
            _die()

    postgres.Statements.audit = wrapped  # type: ignore[method-assign]
