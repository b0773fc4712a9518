"""Who is calling: customer number and PIN, failures counted beforehand, the same words for each of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum

from tellerline.banking import books, model
from tellerline.banking.authorisation import Identity, Level, Standing
from tellerline.banking.ports import Bank
from tellerline.banking.sealing import Sealing
from tellerline.errors import BankRefusal, BankUnavailable, BooksAway, IdentitiesAway
from tellerline.monitoring import metrics

log = logging.getLogger(__name__)

_DIGITS_MAX = 32


class Answer(StrEnum):
    """What is said of typed digits; the values are the names of SecretReply.Outcome."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What may be told of a call's authentication; AuthenticationReply says what each means."""

    level: Level = Level.NOBODY
    stale: bool = False
    locked: bool = False
    last_attempt: bool = False
    closed: bool = False
    language: str = ""


class Authentication:
    """Takes typed digits, and tells what is known of a caller.

    `limit`: failures that lock (RTS 2018/389 Art. 4(3)(b): five at most).
    """

    def __init__(
        self,
        bank: Bank,
        identities: books.Identities,
        attempts: books.Attempts,
        journal: books.Journal,
        sealing: Sealing,
        *,
        limit: int = 5,
    ) -> None:
        self._bank = bank
        self._identities = identities
        self._attempts = attempts
        self._journal = journal
        self._sealing = sealing
        self._limit = limit

    async def customer_number(self, call_id: str, digits: str, caller: str) -> Answer:
        """Takes any number: whether there is such a customer shows with the PIN, and then not either."""
        identity = Identity(call_id, Level.IDENTIFIED, digits[:_DIGITS_MAX], caller)
        try:
            await self._identities.keep(identity)
        except IdentitiesAway:
            return Answer.UNAVAILABLE
        # Who asks what is kept of them must be found even where no PIN followed (GDPR Art. 15, 17).
        self._journal.note(books.Event("customer_number_typed", call_id, self._number(identity)))
        return Answer.ACCEPTED

    async def pin(self, call_id: str, digits: bytes, caller: str) -> Answer:
        """Has the bank compare the PIN, unless customer or caller is locked. Failures all answer the same."""
        answer = await self._pin(call_id, digits, caller)
        metrics.BANKING_PINS.labels(outcome=answer.value.lower()).inc()
        return answer

    async def _pin(self, call_id: str, digits: bytes, caller: str) -> Answer:
        try:
            standing = await self._identities.standing(call_id)
        except IdentitiesAway:
            return Answer.UNAVAILABLE
        if standing is None or not digits:
            return Answer.REJECTED
        identity = standing.identity
        subjects = self._subjects(identity, caller)
        try:
            failures = await self._attempts.begin(subjects, self._limit)
            if failures is None:
                self._journal.note(books.Event("pin_not_taken", call_id, subjects[0], {"reason": "locked"}))
                return Answer.REJECTED
            return await self._compare(identity, digits, subjects, failures)
        except (BooksAway, IdentitiesAway):
            return Answer.UNAVAILABLE

    async def _compare(
        self, identity: Identity, digits: bytes, subjects: tuple[str, ...], failures: int
    ) -> Answer:
        try:
            check = await self._bank.check_pin(identity.customer_number, digits)
        except (BankUnavailable, BankRefusal):
            await self._attempts.withdrawn(subjects)
            return Answer.UNAVAILABLE
        if check.outcome is not model.PinOutcome.VERIFIED or check.customer is None:
            by_bank = check.outcome is model.PinOutcome.LOCKED
            detail = {"failures": failures, "locked": by_bank or failures >= self._limit, "by_bank": by_bank}
            event = books.Event("pin_refused", identity.call_id, subjects[0], detail)
            await self._attempts.failed(subjects, self._limit if by_bank else None, event)
            return Answer.REJECTED
        customer = check.customer
        subject = self._sealing.pseudonym("customer", customer.customer_id)
        # Written down before it counts: no durable record, no authentication.
        await self._attempts.succeeded(subjects, books.Event("pin_accepted", identity.call_id, subject))
        await self._identities.keep(identity.authenticated(customer.customer_id, customer.language))
        return Answer.ACCEPTED

    async def look(self, call_id: str) -> Authenticated:
        """What is known of the call's caller. Changes nothing, not even the idle time."""
        try:
            standing = await self._identities.standing(call_id)
        except IdentitiesAway:
            return Authenticated(closed=True)
        failures, closed = 0, False
        subjects = self._subjects(standing.identity, standing.identity.caller) if standing else ()
        try:
            # Asked without subjects as well: the answer tells whether the books are open.
            failures = await self._attempts.failures(subjects)
        except BooksAway:
            closed = True
        if standing is None:
            return Authenticated(closed=closed)
        locked = failures >= self._limit
        return _told(standing, locked, failures == self._limit - 1, closed)

    async def forget(self, call_id: str) -> None:
        """The call is over. Raises IdentitiesAway; the identity then ends with its time."""
        await self._identities.forget(call_id)

    def _subjects(self, identity: Identity, caller: str) -> tuple[str, ...]:
        # A caller who withholds their number shares it with every other: then the call stands for them.
        who = ("caller", caller) if caller and caller != "anonymous" else ("call", identity.call_id)
        return (self._number(identity), self._sealing.pseudonym(*who))

    def _number(self, identity: Identity) -> str:
        return self._sealing.pseudonym("customer_number", identity.customer_number)


def _told(standing: Standing, locked: bool, last_attempt: bool, closed: bool) -> Authenticated:
    identity = standing.identity
    if identity.level is Level.AUTHENTICATED and standing.fresh:
        # Others may have locked the telephone they share; that closes nobody's call who is through.
        return Authenticated(Level.AUTHENTICATED, closed=closed, language=identity.language)
    stale = identity.level is Level.AUTHENTICATED
    return Authenticated(Level.IDENTIFIED, stale, locked, last_attempt, closed)
