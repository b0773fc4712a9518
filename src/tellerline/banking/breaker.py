"""The circuit breaker in front of the bank: leaves a bank that does not answer alone, and tries it again later.

purgatory keeps the count and the states. Added here: a call given up by its caller says nothing about the bank,
a half-open breaker lets one request through and not all at once, and the state is in the metrics.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import purgatory
from purgatory.domain.model import Context, OpenedState

from tellerline.banking.ports import BreakerState
from tellerline.errors import BankUnavailable
from tellerline.monitoring import metrics

log = logging.getLogger(__name__)

_CIRCUIT = "bank"
_STATES = {
    "closed": BreakerState.CLOSED,
    "opened": BreakerState.OPEN,
    "half-opened": BreakerState.HALF_OPEN,
}
_Result = TypeVar("_Result")


class Breaker:
    """Opens after `failures` failures in a row; after `half_open_seconds` one request may try."""

    def __init__(self, failures: int, half_open_seconds: float) -> None:
        self._factory = purgatory.AsyncCircuitBreakerFactory(failures, half_open_seconds)
        self._factory.add_listener(self._notice)
        self._context: Context | None = None
        self._trying = False
        metrics.BANKING_BREAKER.state(BreakerState.CLOSED)

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

    async def run(self, request: Callable[[], Awaitable[_Result]]) -> _Result:
        """Runs `request`; an exception of it counts as a failure, cancellation as nothing.

        Raises BankUnavailable at once where the breaker is open, or half-open with a request under way.
        """
        breaker = await self._factory.get_breaker(_CIRCUIT)
        self._context = breaker.context
        trying = self.state is BreakerState.HALF_OPEN
        if trying and self._trying:
            raise BankUnavailable("the bank is being tried again; wait for the outcome")
        try:
            await breaker.__aenter__()
        except OpenedState as opened:
            # purgatory raises the same object each time, and its traceback would grow with every refusal.
            opened.__traceback__ = None
            raise BankUnavailable("the bank did not answer lately and is not asked for a while") from None
        self._trying = trying
        try:
            result = await request()
        except Exception as error:
            await breaker.__aexit__(type(error), error, error.__traceback__)
            raise
        else:
            await breaker.__aexit__(None, None, None)
            return result
        finally:
            if trying:
                self._trying = False

    def _notice(self, _circuit: str, event: str, payload: Any) -> None:
        if event == "state_changed":
            state = _STATES[payload.state]
            metrics.BANKING_BREAKER.state(state)
            log.warning("the breaker in front of the bank is %s", state)
