"""A PIN is counted before it is looked at, and written down before it opens anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tellerline import audit
from tellerline.banking import books, model
from tellerline.banking.authentication import Answer, Authenticated, Authentication
from tellerline.banking.authorisation import Identity, Level, Standing
from tellerline.banking.sealing import Sealing
from tellerline.errors import BankUnavailable, BooksAway

CUSTOMER = model.Customer("cus-1", "tr")
VERIFIED = model.PinCheck(model.PinOutcome.VERIFIED, CUSTOMER)
REFUSED = model.PinCheck(model.PinOutcome.REFUSED)
LOCKED = model.PinCheck(model.PinOutcome.LOCKED)


@dataclass
class Told:
    """Every port of Authentication in one, telling in what order it was used."""

    check: model.PinCheck | Exception = REFUSED
    count: int = 0
    away: str = ""
    story: list[str] = field(default_factory=list)
    identity: Identity | None = None

    def _tell(self, what: str) -> None:
        if what.split()[0] == self.away:
            raise BooksAway("away")
        self.story.append(what)

    async def check_pin(self, customer_number: str, pin: bytes) -> model.PinCheck:
        self._tell("compared")
        if isinstance(self.check, Exception):
            raise self.check
        return self.check

    async def standing(self, call_id: str) -> Standing | None:
        return Standing(self.identity, fresh=True) if self.identity else None

    async def keep(self, identity: Identity) -> None:
        self._tell(f"kept {identity.level.name}")
        self.identity = identity

    async def begin(self, subjects: tuple[str, ...], limit: int) -> int | None:
        self._tell("counted")
        self.count += 1
        return self.count if self.count <= limit else None

    async def succeeded(self, subjects: tuple[str, ...], event: books.Event) -> None:
        self._tell(event.action)

    async def failed(self, subjects: tuple[str, ...], limit: int | None, event: books.Event) -> None:
        self._tell(f"{event.action} locked={event.detail['locked']}")

    async def withdrawn(self, subjects: tuple[str, ...]) -> None:
        self._tell("given back")

    async def failures(self, subjects: tuple[str, ...]) -> int:
        self._tell("looked up")
        return self.count

    def note(self, event: books.Event) -> None:
        self._tell(event.action)


@pytest.fixture
def typed() -> Callable[[Told], Authentication]:
    """Authentication over `told`, for a caller who has typed their number."""

    def make(told: Told) -> Authentication:
        told.identity = Identity("call", Level.IDENTIFIED, "10012345", "caller")
        key = bytes(32)
        everything: Any = told
        return Authentication(
            everything, everything, everything, everything, Sealing((key,), audit.AuditKey((key,)))
        )

    return make


Make = Callable[[Told], Authentication]


async def test_right(typed: Make) -> None:
    """Counted, compared, audited, and only then somebody."""
    told = Told(check=VERIFIED)
    assert await typed(told).pin("call", b"4711", "caller") is Answer.ACCEPTED
    assert told.story == ["counted", "compared", "pin_accepted", "kept AUTHENTICATED"]


async def test_wrong(typed: Make) -> None:
    """The count stands."""
    told = Told(check=REFUSED)
    assert await typed(told).pin("call", b"0000", "caller") is Answer.REJECTED
    assert told.story == ["counted", "compared", "pin_refused locked=False"]


@pytest.mark.parametrize(("check", "count"), [(REFUSED, 4), (LOCKED, 0)])
async def test_the_last_and_the_banks_own_lock_lock(typed: Make, check: model.PinCheck, count: int) -> None:
    """Both are audited as such, and answered as any failure."""
    told = Told(check=check, count=count)
    assert await typed(told).pin("call", b"0000", "caller") is Answer.REJECTED
    assert told.story[-1] == "pin_refused locked=True"


async def test_locked(typed: Make) -> None:
    """The bank is not asked: right or wrong makes no difference, not in time either."""
    told = Told(check=VERIFIED, count=5)
    assert await typed(told).pin("call", b"4711", "caller") is Answer.REJECTED
    assert told.story == ["counted", "pin_not_taken"]


async def test_a_bank_that_cannot_compare_costs_no_attempt(typed: Make) -> None:
    """Given back."""
    told = Told(check=BankUnavailable("away"))
    assert await typed(told).pin("call", b"4711", "caller") is Answer.UNAVAILABLE
    assert told.story == ["counted", "compared", "given back"]


@pytest.mark.parametrize(("away", "story"), [("counted", []), ("pin_accepted", ["counted", "compared"])])
async def test_without_books_nobody_becomes_somebody(typed: Make, away: str, story: list[str]) -> None:
    """Neither uncounted nor unaudited."""
    told = Told(check=VERIFIED, away=away)
    assert await typed(told).pin("call", b"4711", "caller") is Answer.UNAVAILABLE
    assert told.story == story
    assert told.identity is not None and told.identity.level is Level.IDENTIFIED


async def test_nothing_typed_is_no_attempt(typed: Make) -> None:
    """A caller who gave up is not a caller who failed."""
    told = Told()
    assert await typed(told).pin("call", b"", "caller") is Answer.REJECTED
    assert told.story == []


@pytest.mark.parametrize(("count", "last", "locked"), [(0, False, False), (4, True, False), (5, False, True)])
async def test_the_warning_comes_before_the_last(typed: Make, count: int, last: bool, locked: bool) -> None:
    """For whoever is not through yet."""
    told = Told(count=count)
    authentication = typed(told)
    assert await authentication.look("call") == Authenticated(
        Level.IDENTIFIED, locked=locked, last_attempt=last
    )
    assert told.identity is not None
    told.identity = told.identity.authenticated("cus-1", "tr")
    assert await authentication.look("call") == Authenticated(Level.AUTHENTICATED, language="tr")
