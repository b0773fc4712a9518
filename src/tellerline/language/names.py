"""Which account, card or payee a caller means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Account(Protocol):
    """What is needed of an account; banking.proto's message fits, and so does a card."""

    @property
    def kind(self) -> str:
        """ "current", "savings", "credit_card"; of a card "debit", "credit"."""

    @property
    def ending(self) -> str:
        """The last four digits."""


class Payee(Protocol):
    """What is needed of a payee; banking.proto's message fits."""

    @property
    def name(self) -> str:
        """Whom the bank pays."""


A = TypeVar("A", bound=Account)
P = TypeVar("P", bound=Payee)


def which_account(text: str, code: str, accounts: Sequence[A]) -> list[A]:
    """Those of `accounts` that `text` (language `code`) may mean, by kind, name or ending.

    One: that is it. None: no account was named. Several: the caller has to choose. `account.name`, where
    there is one, counts too ("the holiday account").
    """
    return []


def which_payee(text: str, code: str, payees: Sequence[P]) -> list[P]:
    """Those of `payees` whose names are heard in `text`, the likeliest alone where one stands out.

    Spelling may differ as recognisers spell ("Katherine", "Catherine"; "Ayse", "Ayşe'ye").
    """
    return []
