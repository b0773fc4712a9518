"""Calendar days, as callers say them."""

from __future__ import annotations

from datetime import date
from typing import Literal


def parse_date(
    text: str,
    code: str,
    today: date,
    *,
    prefer: Literal["future", "past"] = "future",
    edge: Literal["start", "end"] = "start",
) -> date | None:
    """The day that `text` (language `code`) names, seen from `today`; None where there is none.

    A day without its year or month is the next one to come, or with `prefer="past"` the last one that was
    (transactions). Of a whole month or year it is the first day, or with `edge="end"` the last.
    """
    return None
