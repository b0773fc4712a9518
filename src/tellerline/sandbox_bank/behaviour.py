"""How the sandbox bank misbehaves: slow, failing, hanging, cut off or garbled, before or after the deed.

A real core system does all of these, and the worst of them after it has moved the money. Each is switched per
operation of docs/bank-api.yaml, for a number of requests or until it is switched off.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import pydantic
from pydantic import Field

Mode = Literal["slow", "failing", "hanging", "cut_off", "garbled", "dripping", "refusing", "pending"]


class Fault(pydantic.BaseModel):
    """One way of misbehaving."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    # slow: answers after `delay_ms`. failing: answers `status`. hanging: never answers. cut_off: promises an
    # answer and closes the connection. garbled: answers what is not of the contract. dripping: a byte at a
    # time, `delay_ms` apart. refusing: 429 with Retry-After. pending: takes an order, and does it when asked.
    mode: Mode
    # operationIds of docs/bank-api.yaml; none: all of them.
    operations: tuple[str, ...] = ()
    # Whether the deed is done when the fault shows; "late": a hanging request does it once it is let go, as
    # one held up on its way would. "slow" and "pending" do it whenever they get to it.
    deed: Literal["not_done", "done", "late"] = "not_done"
    delay_ms: Annotated[int, Field(ge=0)] = 1000
    status: Annotated[int, Field(ge=400, le=599)] = 503
    # Requests it applies to; None: until it is switched off.
    times: Annotated[int, Field(ge=1)] | None = None


class Behaviour:
    """The faults switched on now, and those waiting in a hanging request."""

    def __init__(self, latency_ms: int = 0) -> None:
        self.latency_ms = latency_ms
        self._faults: list[Fault] = []
        self._released = asyncio.Event()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is switched on."""
        return tuple(self._faults)

    def switch(self, faults: tuple[Fault, ...]) -> None:
        """Replaces what is switched on; requests that hang are let go."""
        self._faults = list(faults)
        self.release()

    def release(self) -> None:
        """Lets go of every request that hangs: it ends without an answer."""
        self._released.set()
        self._released = asyncio.Event()

    def of(self, operation: str) -> Fault | None:
        """The fault the next request of `operation` meets, and counts it."""
        for place, fault in enumerate(self._faults):
            if not fault.operations or operation in fault.operations:
                if fault.times is not None:
                    left = fault.times - 1
                    self._faults[place : place + 1] = (
                        [fault.model_copy(update={"times": left})] if left else []
                    )
                return fault
        return None

    async def hang(self) -> None:
        """Waits until somebody switches or releases."""
        await self._released.wait()
