"""When the bank is asked, and when it is left alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import prometheus_client
import pytest

from tellerline.banking.breaker import Breaker
from tellerline.banking.ports import BreakerState
from tellerline.errors import BankUnavailable

HALF_OPEN_SECONDS = 30.0


class Fails(Exception):
    """What a request to a bank that is down raises."""


async def failing() -> None:
    raise Fails


async def answering() -> str:
    return "balance"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Puts the wall clock forward, which is the one purgatory reads."""
    now = time.time()
    passed = 0.0

    def forward(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(time, "time", lambda: now + passed)
    return forward


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(failures=5, half_open_seconds=HALF_OPEN_SECONDS)


async def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Fails):
            await breaker.run(failing)


def shown() -> str:
    for state in BreakerState:
        labels = {"tellerline_banking_breaker": state.value}
        if prometheus_client.REGISTRY.get_sample_value("tellerline_banking_breaker", labels):
            return state.value
    return "none"


async def test_it_opens_at_the_fifth_failure_in_a_row(breaker: Breaker) -> None:
    await fail(breaker, 4)
    assert (breaker.state, shown()) == (BreakerState.CLOSED, "closed")
    await fail(breaker)
    assert (breaker.state, shown()) == (BreakerState.OPEN, "open")
    with pytest.raises(BankUnavailable):
        await breaker.run(answering)


async def test_an_answer_in_between_starts_the_count_again(breaker: Breaker) -> None:
    await fail(breaker, 4)
    assert await breaker.run(answering) == "balance"
    await fail(breaker, 4)
    assert breaker.state is BreakerState.CLOSED


async def test_it_closes_once_a_request_gets_through(
    breaker: Breaker, later: Callable[[float], None]
) -> None:
    await fail(breaker, 5)
    later(HALF_OPEN_SECONDS - 1)
    assert breaker.state is BreakerState.OPEN
    later(2)
    assert breaker.state is BreakerState.HALF_OPEN
    assert await breaker.run(answering) == "balance"
    assert (breaker.state, shown()) == (BreakerState.CLOSED, "closed")


async def test_one_failure_opens_it_again(breaker: Breaker, later: Callable[[float], None]) -> None:
    await fail(breaker, 5)
    later(HALF_OPEN_SECONDS + 1)
    await fail(breaker)
    assert (breaker.state, shown()) == (BreakerState.OPEN, "open")


async def test_half_open_lets_one_request_through_at_a_time(
    breaker: Breaker, later: Callable[[float], None]
) -> None:
    await fail(breaker, 5)
    later(HALF_OPEN_SECONDS + 1)
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        asked.set()
        await answer.wait()
        return "balance"

    first = asyncio.create_task(breaker.run(slow))
    await asked.wait()
    with pytest.raises(BankUnavailable):
        await breaker.run(answering)
    answer.set()
    assert await first == "balance"
    assert await breaker.run(answering) == "balance"


@pytest.mark.parametrize("half_open", [False, True])
async def test_a_request_given_up_by_its_caller_says_nothing(
    breaker: Breaker, later: Callable[[float], None], half_open: bool
) -> None:
    await fail(breaker, 5 if half_open else 4)
    if half_open:
        later(HALF_OPEN_SECONDS + 1)
    before = breaker.state
    asked = asyncio.Event()

    async def hanging() -> None:
        asked.set()
        await asyncio.Event().wait()

    request = asyncio.create_task(breaker.run(hanging))
    await asked.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert breaker.state is before
    # It neither cleared the count nor keeps the next one from trying.
    await fail(breaker)
    assert breaker.state is BreakerState.OPEN


async def test_refusing_leaves_nothing_behind(breaker: Breaker) -> None:
    await fail(breaker, 5)
    context = breaker._context
    assert context is not None
    for _ in range(100):
        with pytest.raises(BankUnavailable):
            await breaker.run(answering)
    opened = context._state
    assert isinstance(opened, Exception)
    assert opened.__traceback__ is None
