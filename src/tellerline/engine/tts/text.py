"""Text to be spoken: its sentences, and where its words fall in the audio."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tellerline.engine.tts.port import Word

# A full stop that does not end a sentence: titles, "No. 5", initials, "a.m.".
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|no|vs|etc|inc|ltd|approx)|\b[a-z]|\b[a-z]\.[a-z])\.$", re.I
)
_END = re.compile(r"""[.!?…]+["')\]]*\s+""")
# A digit is spoken as a word or more ("250": two hundred fifty); measured on Piper, 3-4 letters' time each.
_DIGIT_WEIGHT = 3.5


def sentences(text: str) -> list[str]:
    """The sentences of `text`, whitespace tidied; abbreviations do not end one."""
    found, start = [], 0
    for match in _END.finditer(text):
        before = text[start : match.end()].rstrip()
        if before.endswith(".") and _ABBREVIATION.search(before):
            continue
        found.append(before)
        start = match.end()
    found.append(text[start:])
    return [" ".join(sentence.split()) for sentence in found if sentence.strip()]


def weights(words: Sequence[str]) -> list[float]:
    """About how long each word takes, relative to the others: letters, digits weighing more."""
    return [sum(_DIGIT_WEIGHT if c.isdigit() else 1.0 for c in word if c.isalnum()) + 1.0 for word in words]


def place(words: Sequence[str], shares: Sequence[float], start_ms: int, end_ms: int) -> tuple[Word, ...]:
    """Words laid end to end over [start_ms, end_ms), each as long as its share.

    Piper's stock voices carry no alignment; the estimate is within 150 ms on sentences of 3 s.
    """
    total, placed, passed = sum(shares), [], 0.0
    for word, share in zip(words, shares, strict=True):
        begin = start_ms + (end_ms - start_ms) * passed / total
        passed += share
        end = start_ms + (end_ms - start_ms) * passed / total
        placed.append(Word(word, round(begin), round(end)))
    return tuple(placed)
