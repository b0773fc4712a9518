"""What a caller may ask of the bank, and blocking a card: for the customer the call is authenticated as."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from tellerline.banking import books, model
from tellerline.banking.authorisation import Identity, Level, Refusal, Refused, admit
from tellerline.banking.ports import Bank
from tellerline.banking.sealing import Sealing
from tellerline.errors import BankRefusal, BankUnavailable, IdentitiesAway
from tellerline.monitoring import metrics

_Answer = TypeVar("_Answer")

_COUNT = 5
_COUNT_MAX = 50

_REFUSALS = {
    model.RefusalReason.NOT_FOUND: Refusal.NOT_FOUND,
    model.RefusalReason.INSUFFICIENT_FUNDS: Refusal.INSUFFICIENT_FUNDS,
    model.RefusalReason.QUOTE_EXPIRED: Refusal.TOKEN_REFUSED,
    model.RefusalReason.QUOTE_USED: Refusal.TOKEN_REFUSED,
}


def refusal_of(reason: str | None) -> Refusal:
    """The refusal for a reason of the bank's."""
    try:
        return _REFUSALS.get(model.RefusalReason(reason or ""), Refusal.REFUSED_BY_BANK)
    except ValueError:
        return Refusal.REFUSED_BY_BANK


@dataclass(frozen=True, slots=True)
class Asked:
    """On which call, in which turn, and whether the turn may yet go on (then nothing may be changed)."""

    call_id: str
    turn_id: int = 0
    speculative: bool = False


@dataclass(frozen=True, slots=True)
class CardsSeen:
    """Cards, and whether their digits may be told."""

    cards: tuple[model.Card, ...]
    with_endings: bool


class SpeculativeWrite(Exception):
    """The pipeline asked, before the caller's turn was over, for what changes something."""


class Desk:
    """Admits a call's caller to an operation, has the bank asked, and has it written down.

    Every operation below raises Refused, BankUnavailable or IdentitiesAway.
    """

    def __init__(
        self, bank: Bank, identities: books.Identities, journal: books.Journal, sealing: Sealing
    ) -> None:
        self.bank = bank
        self._identities = identities
        self._journal = journal
        self._sealing = sealing

    def pseudonym(self, identity: Identity) -> str:
        """What stands for the customer in tables and audit."""
        return self._sealing.pseudonym("customer", identity.customer_id)

    async def admit(self, operation: str, asked: Asked) -> Identity:
        """The caller, if they may do `operation` now; their idle time starts again.

        Below AUTHENTICATED the bank is asked who has the customer number that was typed.
        """
        standing = await self._identities.standing(asked.call_id)
        identity = admit(operation, standing)
        if standing is not None and standing.fresh:
            await self._identities.touch(asked.call_id)
        if identity.customer_id:
            return identity
        customer = await self.bank.find_customer(identity.customer_number)
        if customer is None:
            raise Refused(Refusal.NOT_FOUND)
        return replace(identity, customer_id=customer.customer_id)

    async def ask(
        self, operation: str, asked: Asked, of: Callable[[Identity], Awaitable[_Answer]]
    ) -> _Answer:
        """Does `of` for the caller and notes how it ended."""
        identity: Identity | None = None
        outcome = "done"
        try:
            identity = await self.admit(operation, asked)
            return await of(identity)
        except Refused as refused:
            outcome = refused.refusal.value.lower()
            raise
        except BankRefusal as refusal:
            reason = refusal_of(refusal.reason)
            outcome = reason.value.lower()
            raise Refused(reason) from refusal
        except (BankUnavailable, IdentitiesAway):
            outcome = "unavailable"
            raise
        finally:
            self.note(operation, asked, identity, outcome)

    def note(self, operation: str, asked: Asked, identity: Identity | None, outcome: str) -> None:
        """Counts an operation and has it audited."""
        metrics.BANKING_OPERATIONS.labels(operation=operation, outcome=outcome).inc()
        subject = self.pseudonym(identity) if identity and identity.customer_id else None
        detail: dict[str, str | int | bool | None] = {
            "outcome": outcome,
            "turn": asked.turn_id,
            "speculative": asked.speculative,
        }
        self._journal.note(books.Event(f"{operation}_asked", asked.call_id, subject, detail))


class Enquiries:
    """The operations that move no money; Banking in banking.proto describes each."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._bank = desk.bank

    async def accounts(self, asked: Asked) -> tuple[model.Account, ...]:
        """The customer's accounts."""
        return await self._desk.ask("accounts", asked, lambda i: self._bank.accounts(i.customer_id))

    async def transactions(
        self, asked: Asked, account_id: str, count: int = 0
    ) -> tuple[model.Transaction, ...]:
        """The newest of an account, newest first; `count` 0: five, and never more than fifty."""
        wanted = min(count or _COUNT, _COUNT_MAX)

        async def ask(identity: Identity) -> tuple[model.Transaction, ...]:
            return await self._bank.transactions(identity.customer_id, account_id, wanted)

        return await self._desk.ask("transactions", asked, ask)

    async def cards(self, asked: Asked) -> CardsSeen:
        """The customer's cards. Whoever only typed a customer number is told kinds, and no digits.

        Nor is such a caller told that a number is nobody's: it has no cards.
        """

        async def ask(identity: Identity) -> CardsSeen:
            cards = await self._bank.cards(identity.customer_id)
            return CardsSeen(cards, with_endings=identity.level is Level.AUTHENTICATED)

        try:
            return await self._desk.ask("cards", asked, ask)
        except Refused as refused:
            if refused.refusal is Refusal.NOT_FOUND:
                return CardsSeen((), with_endings=False)
            raise

    async def card_delivery(self, asked: Asked, card_id: str) -> model.CardDelivery:
        """Where a card is."""

        async def ask(identity: Identity) -> model.CardDelivery:
            return await self._bank.card_delivery(identity.customer_id, card_id)

        return await self._desk.ask("card_delivery", asked, ask)

    async def block_card(self, asked: Asked, card_id: str) -> model.BlockedCard:
        """Blocks a card for good; asked again on the same call, it is the same request."""
        if asked.speculative:
            raise SpeculativeWrite("block_card")

        async def ask(identity: Identity) -> model.BlockedCard:
            key = hashlib.sha256(f"block {asked.call_id} {card_id}".encode()).hexdigest()
            return await self._bank.block_card(identity.customer_id, card_id, key)

        return await self._desk.ask("block_card", asked, ask)

    async def bills(self, asked: Asked) -> tuple[model.Bill, ...]:
        """Bills that are due."""
        return await self._desk.ask("bills", asked, lambda i: self._bank.bills(i.customer_id))

    async def payees(self, asked: Asked) -> tuple[model.Payee, ...]:
        """Whom the customer may send money to."""
        return await self._desk.ask("payees", asked, lambda i: self._bank.payees(i.customer_id))

    async def branches(self, place: str, language: str) -> tuple[model.Branch, ...]:
        """Branches in or near a place; anybody may ask."""
        return await self._bank.branches(place, language)
