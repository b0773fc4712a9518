"""What banking itself writes down, as ports: attempts, quotes and executions, audit, and who is calling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from tellerline.banking.authorisation import Identity, Refusal, Standing
from tellerline.banking.model import Money


@dataclass(frozen=True, slots=True)
class Event:
    """One line of audit: `action` in past tense; `subject` a pseudonym; names and numbers nowhere."""

    action: str
    call_id: str | None
    subject: str | None = None
    detail: Mapping[str, str | int | bool | None] = field(default_factory=dict)


class Identities(Protocol):
    """Who the callers of running calls are; everything may be forgotten at any time.

    Every operation raises IdentitiesAway where the store does not answer.
    """

    async def standing(self, call_id: str) -> Standing | None:
        """Who is calling; None: nobody said, or it is forgotten."""
        ...

    async def keep(self, identity: Identity) -> None:
        """Replaces what was known of the call, and starts its idle time."""
        ...

    async def touch(self, call_id: str) -> None:
        """Starts the call's idle time again."""
        ...

    async def forget(self, call_id: str) -> None:
        """The call is over."""
        ...


class Attempts(Protocol):
    """Failed PINs of subjects (pseudonyms). Every operation raises BooksAway where nothing can be written."""

    async def begin(self, subjects: tuple[str, ...], limit: int) -> int | None:
        """Counts a failure for all `subjects` before the PIN is looked at; None: one is locked, none counted.

        Returns the most failures any of them has now.

        Counted first, so that neither a killed process nor ten calls at once get a guess for nothing.
        """
        ...

    async def succeeded(self, subjects: tuple[str, ...], event: Event) -> None:
        """The attempt was a success: the first subject starts anew, the others get this attempt back."""
        ...

    async def failed(self, subjects: tuple[str, ...], limit: int | None, event: Event) -> None:
        """The attempt stays counted. `limit`: the first subject has that many at once: the bank locked it."""
        ...

    async def withdrawn(self, subjects: tuple[str, ...]) -> None:
        """The bank could not look at the PIN: the attempt is given back."""
        ...

    async def released(self, subject: str, event: Event) -> int:
        """Somebody at the bank lifts a lock; returns how many failures there were."""
        ...

    async def failures(self, subjects: tuple[str, ...]) -> int:
        """The most failures any of `subjects` has."""
        ...


@dataclass(frozen=True, slots=True)
class QuoteRow:
    """A quote as it was read back. `to_id`: payee, own account or bill."""

    quote_id: UUID
    call_id: str
    customer: str  # pseudonym
    bank_quote_id: str
    kind: str  # "transfer", "bill"
    from_account_id: str
    to_id: str
    amount: Money
    fee: Money
    bank_valid_until: datetime

    def bound(self) -> tuple[str, ...]:
        """What the quote's token is bound to."""
        return (
            str(self.quote_id),
            self.call_id,
            self.customer,
            self.bank_quote_id,
            self.kind,
            self.from_account_id,
            self.to_id,
            f"{self.amount.minor_units} {self.amount.currency}",
            f"{self.fee.minor_units} {self.fee.currency}",
        )


class OrderState(StrEnum):
    """How far the execution of a quote has come. BEGUN and IN_DOUBT may yet become either of the others."""

    BEGUN = "begun"
    IN_DOUBT = "in_doubt"
    EXECUTED = "executed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class OrderRow:
    """The execution of a quote. `refusal` where it is REFUSED."""

    state: OrderState
    reference: str = ""
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """Minor units (no fees) moved or perhaps moved: by this call, and by this customer within 24 hours."""

    call: int
    day: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that decides whether a quote may be executed now, read under the customer's lock."""

    quote: QuoteRow
    expired: bool
    order: OrderRow | None
    spent: Spent


@dataclass(frozen=True, slots=True)
class Intent:
    """What is written before the bank is asked to move money."""

    idempotency_key: str
    confirmed_by: str
    sealed_customer: bytes
    ask_seconds: float  # from then on others may ask the bank what became of it
    event: Event


@dataclass(frozen=True, slots=True)
class Doubt:
    """An order nobody has settled. `lapsed`: the bank can no longer execute it."""

    quote: QuoteRow
    idempotency_key: str
    sealed_customer: bytes
    lapsed: bool


class Orders(Protocol):
    """Quotes and their executions. Every operation raises BooksAway where nothing can be written."""

    async def spent(self, call_id: str, customer: str) -> Spent:
        """What was moved so far."""
        ...

    async def keep(self, quote: QuoteRow, valid_seconds: int, event: Event) -> None:
        """Writes a new quote down."""
        ...

    async def begin(
        self, quote_id: UUID, decide: Callable[[Ledger | None], OrderRow | Intent]
    ) -> tuple[Ledger, OrderRow | None]:
        """Writes the intent that `decide` returns; one at a time for a customer.

        Returns what was decided on, and the row `decide` returned instead of an intent (None: written).
        `decide` gets None where there is no such quote, and may raise Refused.
        """
        ...

    async def settle(self, quote_id: UUID, row: OrderRow, event: Event) -> OrderRow:
        """Writes what became of an order, or that it is in doubt. Returns what stands: the settled stays."""
        ...

    async def doubts(self, count: int, again_seconds: float, margin_seconds: float) -> list[Doubt]:
        """Up to `count` orders whose time to ask has come; nobody else gets them for `again_seconds`.

        An order has lapsed `margin_seconds` after its quote did at the bank.
        """
        ...

    async def unsettled(self) -> int:
        """How many orders are not settled."""
        ...


class Journal(Protocol):
    """Audit of what needs no transaction: enquiries, blocked cards."""

    def note(self, event: Event) -> None:
        """Has `event` written down soon; while the database is away, once it is back."""
        ...
