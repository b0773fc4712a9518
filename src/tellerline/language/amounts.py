"""Amounts of money, as callers say them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Money:
    """Whole minor units (cents, kuruş) of a currency (ISO 4217)."""

    minor_units: int
    currency: str


def parse_amount(text: str, code: str, currency: str) -> Money | None:
    """The amount in `text` (language `code`), in `currency` (ISO 4217) where the caller names none.

    None where there is no amount, where there are several and no telling which is meant ("two hundred of
    my five hundred euros"), and where the currency cannot hold it (a tenth of a cent).
    """
    return None
