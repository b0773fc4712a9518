"""Comparing what was said with what was heard: normalised words and word errors."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNITS: list[str] = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen",
)
_TENS: list[str] = re.findall(r"\w+", "zero ten twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINALS = {"1st": "first", "2nd": "second", "3rd": "third", "4th": "fourth", "5th": "fifth"}
# Recognisers write them either way.
_SAME = {
    "ok": "okay",
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "i'm": "i am",
    "i've": "i have",
    "i'd": "i would",
    "i'll": "i will",
    "it's": "it is",
    "what's": "what is",
    "that's": "that is",
    "don't": "do not",
    "can't": "cannot",
    "didn't": "did not",
    "haven't": "have not",
    "you're": "you are",
    "cheque": "check",
}


def spoken(number: int) -> str:
    """A number below a million in words: 250 → "two hundred fifty"."""
    if number < 20:
        return _UNITS[number]
    if number < 100:
        return _TENS[number // 10] + (f" {_UNITS[number % 10]}" if number % 10 else "")
    if number < 1000:
        head, rest = f"{_UNITS[number // 100]} hundred", number % 100
    else:
        head, rest = f"{spoken(number // 1000)} thousand", number % 1000
    return head + (f" {spoken(rest)}" if rest else "")


def _word(text: str) -> str:
    text = _ORDINALS.get(text, _SAME.get(text, text))
    if text.isdigit() and len(text) <= 6:
        # A long figure, or one that starts with 0, is read digit by digit.
        return (
            spoken(int(text)) if len(text) <= 4 and text[0] != "0" else " ".join(_UNITS[int(c)] for c in text)
        )
    return text


def normalised(text: str) -> str:
    """Lower case words without punctuation, figures in words, dollars behind the amount."""
    text = text.lower().replace("’", "'")
    text = re.sub(r"(\d),(\d{3})\b", r"\1\2", text)
    text = re.sub(
        r"\$\s?(\d+)(?:\.(\d\d))?", lambda m: f"{m[1]} dollars" + (f" {m[2]}" if m[2] else ""), text
    )
    text = re.sub(r"(?<=\d)-(?=\d)", " ", text)
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)?", text)
    return " ".join(_word(word) for word in words)


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """Substitutions, deletions and insertions between the normalised texts, and words said."""
    reference, hypothesis = normalised(said).split(), normalised(heard).split()
    return _distance(reference, hypothesis), len(reference)


def _distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (expected != got))
    return row[-1]


def contains(text: str, phrase: str) -> bool:
    """Whether the words of `phrase` occur in `text` in a row."""
    return f" {normalised(phrase)} " in f" {normalised(text)} "
