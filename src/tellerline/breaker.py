"""A circuit breaker: leaves whoever does not answer alone, and tries them again later.

purgatory keeps the count and the states. Added here: a request given up by its caller says nothing about who
was asked, and a half-open breaker lets one request through and not all at once.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Any

import purgatory
from purgatory.domain.model import Context, OpenedState

from tellerline.errors import TellerlineError

log = logging.getLogger(__name__)


class BreakerState(StrEnum):
    """Whether requests are let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_STATES = {
    "closed": BreakerState.CLOSED,
    "opened": BreakerState.OPEN,
    "half-opened": BreakerState.HALF_OPEN,
}


class BreakerOpen(TellerlineError):
    """Whoever is behind the breaker did not answer lately, and is not asked for a while."""

    code = "breaker_open"


class Attempt:
    """One request under way."""

    def __init__(self) -> None:
        # An answer has begun to come: a caller who needs no more of it gives up a request that succeeded.
        self.answered = False


class Breaker:
    """Opens after `failures` failures in a row; after `half_open_seconds` one request may try.

    `name` says in errors and the log who is behind it; `show` is told each state, the first at once.
    """

    def __init__(
        self, name: str, failures: int, half_open_seconds: float, show: Callable[[BreakerState], None]
    ) -> None:
        self._name = name
        self._show = show
        self._factory = purgatory.AsyncCircuitBreakerFactory(failures, half_open_seconds)
        self._factory.add_listener(self._notice)
        self._context: Context | None = None
        self._trying = False
        show(BreakerState.CLOSED)

    @property
    def state(self) -> BreakerState:
        """OPEN only while it would refuse: HALF_OPEN as soon as one request would be let through."""
        if self._context is None:
            return BreakerState.CLOSED
        state = _STATES[self._context.state]
        opened_at = self._context.opened_at
        if state is BreakerState.OPEN and opened_at is not None:
            return BreakerState.HALF_OPEN if time.time() > opened_at + self._context.ttl else state
        return state

    @contextlib.asynccontextmanager
    async def attempt(self) -> AsyncIterator[Attempt]:
        """Around one request; an exception of it counts as a failure, cancellation as nothing.

        Raises BreakerOpen at once where the breaker is open, or half-open with a request under way.
        """
        breaker = await self._factory.get_breaker(self._name)
        self._context = breaker.context
        trying = self.state is BreakerState.HALF_OPEN
        if trying and self._trying:
            raise BreakerOpen(f"{self._name} is being tried again; wait for the outcome")
        try:
            await breaker.__aenter__()
        except OpenedState as opened:
            # purgatory raises the same object each time, and its traceback would grow with every refusal.
            opened.__traceback__ = None
            raise BreakerOpen(f"{self._name} did not answer lately and is not asked for a while") from None
        self._trying = trying
        attempt = Attempt()
        try:
            yield attempt
        except Exception as error:
            await breaker.__aexit__(type(error), error, error.__traceback__)
            raise
        except BaseException:
            if attempt.answered:
                await breaker.__aexit__(None, None, None)
            raise
        else:
            await breaker.__aexit__(None, None, None)
        finally:
            if trying:
                self._trying = False

    def _notice(self, _circuit: str, event: str, payload: Any) -> None:
        if event == "state_changed":
            state = _STATES[payload.state]
            self._show(state)
            log.warning("the breaker in front of %s is %s", self._name, state)
