"""The driver of a keypad on a real loop; what takes seconds is tested against processes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tellerline.connector.dark_input import Keys
from tellerline.connector.dtmf import Destination, Outcome, Typist
from tellerline.rpc import conversation_pb2 as pb


class Bank:
    """A sink that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.answers: asyncio.Queue[pb.DarkInputResult.Outcome | Exception] = asyncio.Queue()

    async def check(self, typist: Typist, purpose: str, digits: bytearray) -> pb.DarkInputResult.Outcome:
        self.asked.append((purpose, bytes(digits)))
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Desk:
    """A call's keys, with what went up of them."""

    def __init__(self, bank: Bank | None) -> None:
        self.results: list[tuple[int, int]] = []
        self.attached = True
        self.tasks: set[asyncio.Task[None]] = set()
        self.keys = Keys(Typist("call", "+49"), bank, lambda: False, self._report, self._spawn)

    def _report(self, result: pb.DarkInputResult) -> bool:
        if self.attached:
            self.results.append((result.request_id, result.outcome))
        return self.attached

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.add(asyncio.get_running_loop().create_task(work))

    def ask(self, request_id: int, digits: int = 4, cancel: bool = False, possible: bool = True) -> None:
        self.keys.request(
            pb.DarkInputRequest(
                request_id=request_id,
                purpose="pin",
                min_digits=digits,
                max_digits=digits,
                timeout_ms=60_000,
                cancel=cancel,
            ),
            possible,
        )

    def type(self, keys: str) -> list[Destination]:
        return [self.keys.press(key) for key in keys]

    async def settled(self) -> None:
        """Every check that was begun has been answered."""
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=5)


@pytest.fixture
async def bank() -> Bank:
    return Bank()


@pytest.fixture
async def desk(bank: Bank) -> Desk:
    return Desk(bank)


async def test_a_secret_is_checked_and_only_its_outcome_goes_up(desk: Desk, bank: Bank) -> None:
    desk.ask(7)
    assert desk.keys.dark
    desk.type("1234")
    # The digits are on their way: what is heard now is the caller again, and the result is still owed.
    assert (desk.keys.dark, desk.keys.request_id) == (False, 7)
    bank.answers.put_nowait(Outcome.REJECTED)
    await desk.settled()
    assert (bank.asked, desk.results) == ([("pin", b"1234")], [(7, Outcome.REJECTED)])
    assert desk.keys.request_id == 0


async def test_another_request_takes_the_place_of_the_first(desk: Desk, bank: Bank) -> None:
    desk.ask(1)
    desk.type("12")
    desk.ask(2)
    desk.type("3456")
    bank.answers.put_nowait(Outcome.ACCEPTED)
    await desk.settled()
    assert bank.asked == [("pin", b"3456")]
    assert desk.results == [(1, Outcome.CANCELLED), (2, Outcome.ACCEPTED)]


async def test_a_cancel_is_for_its_own_request(desk: Desk, bank: Bank) -> None:
    desk.ask(2)
    desk.ask(1, cancel=True)
    assert desk.results == []
    desk.ask(2, cancel=True)
    assert desk.results == [(2, Outcome.CANCELLED)]
    assert desk.type("1") == [Destination.WITHHELD]


async def test_a_menu_ends_dark_input_unseen(desk: Desk, bank: Bank) -> None:
    desk.ask(1)
    desk.type("12")
    desk.keys.open_menu()
    assert desk.results == [(1, Outcome.CANCELLED)]
    assert desk.type("3") == [Destination.MENU]
    assert bank.asked == []


@pytest.mark.parametrize("possible", [True, False], ids=["no banking", "no telephone-event"])
async def test_where_no_secret_can_be_taken_none_is_collected(possible: bool, bank: Bank) -> None:
    desk = Desk(None if possible else bank)
    desk.ask(1, possible=possible)
    assert desk.results == [(1, Outcome.UNAVAILABLE)]
    assert not desk.keys.dark
    assert desk.type("1") == [Destination.WITHHELD]


async def test_a_sink_that_fails_is_unavailable_and_its_words_are_not_logged(
    desk: Desk, bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    desk.ask(1)
    desk.type("5678")
    bank.answers.put_nowait(ValueError("cannot check 5678"))
    await desk.settled()
    assert desk.results == [(1, Outcome.UNAVAILABLE)]
    assert "ValueError" in caplog.text
    assert "5678" not in caplog.text


async def test_a_result_nobody_was_there_for_waits(desk: Desk, bank: Bank) -> None:
    desk.ask(1)
    desk.attached = False
    desk.keys.pipeline_lost()
    desk.type("1234")
    bank.answers.put_nowait(Outcome.ACCEPTED)
    await desk.settled()
    assert (desk.results, desk.keys.request_id) == ([], 1)
    desk.attached = True
    desk.keys.pipeline_up()
    desk.keys.pipeline_up()
    assert (desk.results, desk.keys.request_id) == ([(1, Outcome.ACCEPTED)], 0)


async def test_after_the_call_nothing_is_told(desk: Desk, bank: Bank) -> None:
    desk.ask(1)
    desk.type("1234")
    desk.keys.forget()
    bank.answers.put_nowait(Outcome.ACCEPTED)
    await desk.settled()
    assert desk.results == []


@pytest.mark.parametrize("keys", ["#", "12**"])
async def test_who_does_not_want_to_type_is_told_as_cancelled_and_nothing_is_checked(
    desk: Desk, bank: Bank, keys: str
) -> None:
    desk.ask(7)
    desk.type(keys)
    assert (desk.results, desk.keys.dark, desk.keys.request_id) == ([(7, Outcome.CANCELLED)], False, 0)
    assert desk.type("1") == [Destination.WITHHELD]
    assert bank.asked == []
