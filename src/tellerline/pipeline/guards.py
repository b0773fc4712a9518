"""Checks between the language model and the caller's ear: no figures, no rambling, no repeats."""

from __future__ import annotations

import re
import unicodedata

from tellerline import language

# The starter model rambles; two spoken sentences are an answer.
MAX_SENTENCES = 2
MAX_WORDS = 45

_SENTENCE_ENDS = re.compile(r"[.!?](?=\s)")


class FigureGuard:
    """Finds what a model must never say: numbers, amounts, percentages, dates, times."""

    def __init__(self, words: language.Language) -> None:
        self._words = words
        self._forbidden = words.numbers | words.units | words.dates

    def speaks_figures(self, text: str) -> bool:
        """Whether `text` holds a digit, a number word, a currency, a percentage, a date or a time."""
        if any(c.isdigit() or c == "%" or unicodedata.category(c) in ("Sc", "Nl", "No") for c in text):
            return True
        heard = language.words(text)
        return any(
            any(part in self._forbidden for part in _parts(word))
            or (word == "one" and not self._is_pronoun(heard, index))
            for index, word in enumerate(heard)
        )

    def _is_pronoun(self, heard: list[str], index: int) -> bool:
        before = heard[index - 1] if index else ""
        after = heard[index + 1] if index + 1 < len(heard) else ""
        return before in self._words.one_is_a_pronoun_after or after in self._words.one_is_a_pronoun_before


def _parts(word: str) -> list[str]:
    # "twenty-five" and "today's" hide a figure behind a hyphen or an apostrophe; "o'clock" is whole.
    return [word, word.split("'")[0], *word.split("-")]


class RambleGuard:
    """Ends an answer that has said enough, or says the same again."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._words = 0
        self._sentences = 0

    def allows(self, clause: str) -> bool:
        """Whether `clause` may still be spoken; counts it if so."""
        heard = " ".join(language.words(clause))
        if not heard or heard in self._said or self._sentences >= MAX_SENTENCES or self._words >= MAX_WORDS:
            return False
        self._said.append(heard)
        self._words += len(heard.split())
        self._sentences += clause.rstrip().endswith((".", "!", "?"))
        return True


def is_enough(answer: str) -> bool:
    """Whether `answer` holds all that RambleGuard would let through."""
    return len(_SENTENCE_ENDS.findall(answer)) >= MAX_SENTENCES or len(answer.split()) > MAX_WORDS
