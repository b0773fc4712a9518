"""The seeded customers and branches of customers.yml."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Literal

import pydantic
import yaml
from pydantic import Field

Ending = Annotated[str, Field(pattern=r"^[0-9]{4}$")]


class _Seed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Account(_Seed):
    """An account; `overdraft` and `credit` are what may be spent beyond the balance."""

    account_id: str
    kind: Literal["current", "savings", "credit_card"]
    name: str
    ending: Ending
    balance: int
    overdraft: int = 0
    credit: int = 0


class Transaction(_Seed):
    """An entry, booked `days` from today."""

    days: Annotated[int, Field(le=0)]
    description: Annotated[str, Field(max_length=140)]
    amount: int


class Delivery(_Seed):
    """Where a card is; dates in days from today."""

    status: Literal["ordered", "produced", "posted", "delivered", "returned"]
    posted_days: int | None = None
    expected_days: int | None = None


class Card(_Seed):
    """A card, and its way to the customer where it was sent out."""

    card_id: str
    kind: Literal["debit", "credit"]
    ending: Ending
    state: Literal["active", "blocked", "in_delivery"]
    delivery: Delivery | None = None


class Bill(_Seed):
    """A bill due in `due_days`."""

    bill_id: str
    biller: str
    amount: int
    due_days: int


class Payee(_Seed):
    """Someone to send money to; `canonical` is the name their own bank has for them."""

    payee_id: str
    name: str
    ending: Ending
    canonical: str = ""


class Customer(_Seed):
    """A customer of the sandbox bank, with everything that is theirs."""

    customer_number: str
    pin: str
    pin_locked: bool = False
    customer_id: str
    language: Literal["en", "tr"]
    currency: str
    transfer_fee: int = 0
    accounts: tuple[Account, ...]
    transactions: dict[str, tuple[Transaction, ...]] = {}
    cards: tuple[Card, ...] = ()
    bills: tuple[Bill, ...] = ()
    payees: tuple[Payee, ...] = ()


class Hours(_Seed):
    """When a branch opens and closes, by kind of day."""

    weekdays: tuple[str, str]
    saturday: tuple[str, str] | None = None


class Branch(_Seed):
    """A branch of the sandbox bank."""

    name: str
    language: str
    address: str
    hours: Hours


class Seed(_Seed):
    """All of customers.yml."""

    customers: tuple[Customer, ...]
    branches: tuple[Branch, ...]


def load() -> Seed:
    """Reads customers.yml."""
    text = resources.files(__package__).joinpath("customers.yml").read_text(encoding="utf-8")
    return Seed.model_validate(yaml.safe_load(text))
