"""Numbers, money, dates, times and hours, as they are spoken to a caller: words, never digits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time


def say_number(number: int, code: str) -> str:
    """A whole number: "one hundred and twenty-three", "yüz yirmi üç"."""
    return str(number)


def say_money(minor_units: int, currency: str, code: str) -> str:
    """An amount: "two hundred euros and fifty cents", "iki yüz elli lira". A negative one begins "minus"."""
    return str(minor_units)


def say_date(day: date, code: str, today: date | None = None) -> str:
    """A day: "Tuesday, the fifteenth of March", with its year where it is another than that of `today`.

    With `today`, the days about it are "yesterday", "today", "tomorrow".
    """
    return str(day)


def say_time(moment: time, code: str) -> str:
    """A time of day: "nine in the morning", "half past four in the afternoon"; tr "saat on altı otuz"."""
    return str(moment)


def say_ending(digits: str, code: str) -> str:
    """Digits one by one, of an account or card: "four, three, two, one"."""
    return digits


def say_list(items: Sequence[str], code: str, *, last: str = "and") -> str:
    """Things one after another: "a, b and c"; `last` is "and" or "or" (in any language)."""
    return ", ".join(items)


def say_weekday(weekday: int, code: str) -> str:
    """ISO weekday, 1 Monday ... 7 Sunday: "Monday"."""
    return str(weekday)


def say_hours(hours: Sequence[tuple[int, time, time]], code: str) -> str:
    """Opening hours, (ISO weekday, opens, closes) each, equal days together.

    "Monday to Friday from nine in the morning to five in the afternoon, and Saturday from ..."
    """
    return ""


def say_account(kind: str, ending: str, code: str, name: str = "") -> str:
    """An account or card by its name or kind, and its ending: "your savings account ending in four, ..."."""
    return kind
