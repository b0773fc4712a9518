"""Times of day, as callers say them."""

from __future__ import annotations

from datetime import datetime, time


def parse_time(text: str, code: str, now: datetime) -> time | None:
    """The time of day that `text` (language `code`) names; None where there is none.

    Without "p.m.", "evening" and their like the hour is taken as said: "four" is 04:00. Spans from `now`
    ("in two hours") are rounded to five minutes, as they are meant.
    """
    return None
