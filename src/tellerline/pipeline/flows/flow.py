"""What a flow is: how it begins, how it goes on, and what it makes of what was ordered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Key, Result, Said
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State


@dataclass(frozen=True)
class Flow:
    """One banking task.

    `level` is what banking will ask for (AuthenticationReply.Level). `begin` gets the words that wanted it,
    which may hold all it needs. `go_on` gets what came next and returns None for what it makes nothing of.
    Both only read. `settled` steps have answered: other tasks may begin there as from the open.
    """

    name: str
    level: int
    begin: Callable[[Desk, State, Said], Awaitable[Plan]]
    go_on: Callable[[Desk, State, Said | Key], Awaitable[Plan | None]]
    written: Callable[[Desk, State, Result], Plan] | None = None
    settled: frozenset[str] = frozenset()
