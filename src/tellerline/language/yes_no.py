"""Yes and no, as callers say them."""

from __future__ import annotations

from functools import cache

from tellerline import language


def is_yes(text: str, code: str) -> bool:
    """Whether `text` (language `code`) is a plain yes and nothing else: what may confirm a payment.

    "Yes, but ..." is not, nor is "yes" beside "no", "not" or "wait", nor "okay": listeners say that to show
    that they follow.
    """
    return _consists(text, code, ("yes",), ("agreeing", "beside_yes"))


def is_agreement(text: str, code: str) -> bool:
    """Whether `text` (language `code`) agrees to what costs nothing: a plain yes, or "okay", "sure"."""
    return _consists(text, code, ("yes", "agreeing"), ("beside_yes",))


def is_no(text: str, code: str) -> bool:
    """Whether `text` (language `code`) refuses: a no, with or without a correction after it."""
    heard = _words(text, code)
    return any(_length(heard[start:], "no", code) for start in range(len(heard)))


def _consists(text: str, code: str, needed: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
    """Whether there is nothing in `text` but phrases of these lists, one of those `needed` among them."""
    rest, found = _words(text, code), False
    while rest:
        lengths = {name: _length(rest, name, code) for name in (*needed, *allowed)}
        longest = max(lengths.values())
        if not longest:
            return False
        found = found or any(lengths[name] == longest for name in needed)
        rest = rest[longest:]
    return found


def _words(text: str, code: str) -> tuple[str, ...]:
    return tuple(language.words(language.fold(text, code)))


def _length(heard: tuple[str, ...], name: str, code: str) -> int:
    """How many words of what was heard the longest phrase of list `name` takes."""
    return next((len(phrase) for phrase in _phrases(name, code) if heard[: len(phrase)] == phrase), 0)


@cache
def _phrases(name: str, code: str) -> tuple[tuple[str, ...], ...]:
    listed = {_words(str(phrase), code) for phrase in language.data(code, "yes_no")[name]}
    return tuple(sorted(listed, key=len, reverse=True))
