"""One customer's part of the sandbox bank's books."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from tellerline.sandbox_bank import seed

Json = dict[str, Any]
Clock = Callable[[], datetime]
_Thing = TypeVar("_Thing")

_KINDS = {
    "en": {"current": "Current account", "savings": "Savings account", "credit_card": "Credit card"},
    "tr": {"current": "Vadesiz hesap", "savings": "Vadeli hesap", "credit_card": "Kredi kartı"},
}


class Refused(Exception):
    """The bank says no; `code` is a Reason of the contract."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def utc_now() -> datetime:
    """The bank's clock."""
    return datetime.now(UTC)


@dataclass
class Holder:
    """What is one customer's now, beside what they were seeded with."""

    customer: seed.Customer
    balances: dict[str, int]
    blocked: set[str] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)
    booked: dict[str, list[tuple[date, str, int]]] = field(default_factory=dict)

    def account(self, account_id: str) -> seed.Account:
        """The account of this id; Refused where it is not this customer's."""
        return only(a for a in self.customer.accounts if a.account_id == account_id)

    def available(self, account: seed.Account) -> int:
        """What may be spent."""
        return self.balances[account.account_id] + account.overdraft + account.credit

    def called(self, account: seed.Account) -> str:
        """What the bank calls an account: its name, or its kind in the customer's language."""
        return account.name or _KINDS[self.customer.language][account.kind]

    def book(self, account_id: str, day: date, description: str, amount: int) -> None:
        """Moves `amount` and writes it into the account's transactions."""
        self.balances[account_id] += amount
        self.booked.setdefault(account_id, []).append((day, description, amount))

    def money(self, amount: int) -> Json:
        """`amount` as Money of the contract."""
        return {"minor_units": amount, "currency": self.customer.currency}


def new(customer: seed.Customer) -> Holder:
    """A customer as seeded."""
    return Holder(customer, {account.account_id: account.balance for account in customer.accounts})


def only(found: Iterator[_Thing]) -> _Thing:
    """The first of `found`; Refused where the bank has no such thing."""
    for thing in found:
        return thing
    raise Refused("not_found")
