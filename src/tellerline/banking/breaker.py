"""The circuit breaker in front of the bank: what it refuses is a bank that cannot be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tellerline import breaker
from tellerline.errors import BankUnavailable
from tellerline.monitoring import metrics

_Result = TypeVar("_Result")


class Breaker(breaker.Breaker):
    """Opens after `failures` failures in a row; after `half_open_seconds` one request may try."""

    def __init__(self, failures: int, half_open_seconds: float) -> None:
        super().__init__("the bank", failures, half_open_seconds, metrics.BANKING_BREAKER.state)

    async def run(self, request: Callable[[], Awaitable[_Result]]) -> _Result:
        """Runs `request`; an exception of it counts as a failure, cancellation as nothing.

        Raises BankUnavailable at once where the breaker is open, or half-open with a request under way.
        """
        try:
            async with self.attempt():
                return await request()
        except breaker.BreakerOpen as error:
            raise BankUnavailable(str(error)) from None
