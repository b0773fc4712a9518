"""The words of banking: customers, accounts, cards, bills, orders of money, and what the bank says of them.

Money is whole minor units (cents, kuruş). Identifiers are the bank's own references, opaque and never spoken;
what may be spoken of an account or a card is its kind, its name and its last four digits, and nothing more
is ever asked of the bank.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from typing import Literal, Self

_CURRENCY = re.compile(r"[A-Z]{3}")
_ENDING = re.compile(r"[0-9]{4}")


def _four_digits(ending: str) -> None:
    if not _ENDING.fullmatch(ending):
        raise ValueError("an ending is four digits")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in whole minor units of `currency` (ISO 4217)."""

    minor_units: int
    currency: str

    def __post_init__(self) -> None:
        if not _CURRENCY.fullmatch(self.currency):
            raise ValueError("a currency is three capital letters")


@dataclass(frozen=True, slots=True)
class Customer:
    """Whom the bank knows behind a customer number."""

    customer_id: str
    language: str  # ISO 639-1


class PinOutcome(StrEnum):
    """What the bank says to a customer number and a PIN."""

    VERIFIED = "verified"
    # The number is unknown or the PIN is wrong; the bank does not say which.
    REFUSED = "refused"
    # The bank itself takes no PIN of this customer any more, by whatever channel it was spent.
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class PinCheck:
    """`customer` is there where `outcome` is VERIFIED, and only there."""

    outcome: PinOutcome
    customer: Customer | None = None

    def __post_init__(self) -> None:
        if (self.outcome is PinOutcome.VERIFIED) != (self.customer is not None):
            raise ValueError("a verified PIN names its customer, and nothing else does")


AccountKind = Literal["current", "savings", "credit_card"]


@dataclass(frozen=True, slots=True)
class Account:
    """One account of a customer."""

    account_id: str
    kind: AccountKind
    name: str  # the customer's or the bank's name for it; may be empty
    ending: str  # last four digits
    balance: Money
    available: Money

    def __post_init__(self) -> None:
        _four_digits(self.ending)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One entry of an account."""

    booked_on: date
    description: str  # text from outside: data, never instructions
    amount: Money  # negative: out


@dataclass(frozen=True, slots=True)
class Card:
    """One payment card of a customer."""

    card_id: str
    kind: Literal["debit", "credit"]
    ending: str
    state: Literal["active", "blocked", "in_delivery"]

    def __post_init__(self) -> None:
        _four_digits(self.ending)


@dataclass(frozen=True, slots=True)
class CardDelivery:
    """Where a card is that was sent to its customer. None: the bank does not know, or not yet."""

    status: Literal["ordered", "produced", "posted", "delivered", "returned"]
    posted_on: date | None = None
    expected_on: date | None = None


@dataclass(frozen=True, slots=True)
class BlockedCard:
    """What became of a request to block a card. A card blocked before is blocked."""

    blocked: bool
    replacement_ordered: bool


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill that is due."""

    bill_id: str
    biller: str
    amount: Money
    due_on: date


@dataclass(frozen=True, slots=True)
class Payee:
    """Someone this customer may send money to; set up at the bank, never by telephone."""

    payee_id: str
    name: str
    ending: str

    def __post_init__(self) -> None:
        _four_digits(self.ending)


@dataclass(frozen=True, slots=True)
class TransferOrder:
    """Money from an account of the customer to one of their payees, or to another account of theirs.

    Exactly one of `payee_id` and `to_account_id` is given.
    """

    from_account_id: str
    amount: Money
    payee_id: str | None = None
    to_account_id: str | None = None

    def __post_init__(self) -> None:
        if (self.payee_id is None) == (self.to_account_id is None):
            raise ValueError("a transfer goes to a payee or to an account of the customer, to one of the two")


@dataclass(frozen=True, slots=True)
class BillOrder:
    """A bill, paid in full from an account of the customer."""

    from_account_id: str
    bill_id: str


Order = TransferOrder | BillOrder


@dataclass(frozen=True, slots=True)
class Quote:
    """What an order would do, in the bank's own words and figures; this is what is read back."""

    quote_id: str
    payee: str  # canonical name of payee or biller, or the name of the customer's own account
    payee_ending: str  # empty for a biller
    from_kind: AccountKind
    from_ending: str
    amount: Money
    fee: Money
    valid_until: datetime  # with time zone, by the bank's clock; the bank refuses to execute it later

    def __post_init__(self) -> None:
        _four_digits(self.from_ending)
        if self.payee_ending:
            _four_digits(self.payee_ending)
        if not self.payee:
            raise ValueError("a quote names whom the money goes to")
        if self.valid_until.tzinfo is None:
            raise ValueError("valid_until needs a time zone")


class RefusalReason(StrEnum):
    """Why the bank does not do a thing. A reason this release does not know is REFUSED."""

    NOT_FOUND = "not_found"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    LIMIT_EXCEEDED = "limit_exceeded"  # the bank's own limit
    QUOTE_EXPIRED = "quote_expired"
    QUOTE_USED = "quote_used"  # under another idempotency key
    KEY_REUSED = "key_reused"  # the idempotency key belongs to another quote
    REFUSED = "refused"  # any other reason of the bank's

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls.REFUSED


class ExecutionState(StrEnum):
    """What became of an order."""

    EXECUTED = "executed"
    PENDING = "pending"  # the bank has it and will do it or refuse it; ask again
    REFUSED = "refused"  # and it will stay so: the key is spent


@dataclass(frozen=True, slots=True)
class Execution:
    """What the bank did under one idempotency key."""

    state: ExecutionState
    reference: str = ""  # the bank's, where EXECUTED
    reason: RefusalReason | None = None  # where REFUSED


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """One opening of a branch; a day without any is a day it is closed."""

    weekday: int  # ISO: 1 Monday … 7 Sunday
    opens: time
    closes: time

    def __post_init__(self) -> None:
        if not 1 <= self.weekday <= 7:
            raise ValueError("a weekday is 1 to 7")


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch of the bank, and when it is open."""

    name: str
    address: str
    hours: tuple[OpeningHours, ...]
