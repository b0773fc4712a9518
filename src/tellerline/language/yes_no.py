"""Yes and no, as callers say them."""

from __future__ import annotations


def is_yes(text: str, code: str) -> bool:
    """Whether `text` (language `code`) is a plain yes and nothing else: what may confirm a payment.

    "Yes, but ..." is not, nor is "yes" beside "no", "not" or "wait".
    """
    return False


def is_no(text: str, code: str) -> bool:
    """Whether `text` (language `code`) refuses: a no, with or without a correction after it."""
    return False
