"""Runaway repeats of a decoder: finds them by rate and compression, and takes them out."""

from __future__ import annotations

import re
import zlib

# OpenAI's own bound for a transcript that repeats itself (whisper/transcribe.py, Radford et al. 2022, 4.5).
REPEATING_RATIO = 2.4
# Letters a second, a spoken digit counting as 3.5 and a word's gap as one: sentences and digit strings run at
# 11-16, fast talkers at 20; a sentence and its copy in the time of one read 25 and more.
_LETTERS_PER_SECOND = 21.0
_LETTERS_OF_DIGIT = 3.5
# A sentence said twice is a copy; "no, no" and "yes, yes" are how people talk.
_COPY_WORDS = 3
_RUNAWAY_TIMES = 3

_NOT_WORD = re.compile(r"[^\w']+")


def compression_ratio(text: str) -> float:
    """Length over deflated length, in UTF-8 bytes; repeats compress well. 0 for no text."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0


def without_repeats(text: str, seconds: float, cut_short: bool) -> str:
    """`text` less an exact second copy of itself and less runaway repeats.

    `seconds` is how long the speech was; `cut_short` says the decoder was stopped by its token limit.
    "five five five five" stays, as long as it could have been said in the time.
    """
    words = text.split()
    bare = [_NOT_WORD.sub("", word).lower() for word in words]
    hasty = _letters(words) > _LETTERS_PER_SECOND * max(seconds, 0.2)
    half = len(words) // 2
    if half >= _COPY_WORDS and bare[:half] == bare[half:] and (hasty or _is_sentence(words[:half])):
        words, bare = words[:half], bare[:half]
    words, bare = _without_begun_copy(words, bare)
    if cut_short or hasty or compression_ratio(text) > REPEATING_RATIO:
        words = _collapse(words, bare)
    return " ".join(words)


def _without_begun_copy(words: list[str], bare: list[str]) -> tuple[list[str], list[str]]:
    """Takes off a second copy that stops soon after it began: "Can I use my card abroad? Can I".

    Whisper does so on short lines. A caller who does begin again goes on, and is recognised again then.
    """
    for end in range(max(_COPY_WORDS, len(words) - len(words) // 3), len(words)):
        rest = bare[end:]
        if words[end - 1][-1] in ".!?" and rest == bare[: len(rest)]:
            return words[:end], bare[:end]
    return words, bare


def _letters(words: list[str]) -> float:
    return len(words) + sum(_LETTERS_OF_DIGIT if c.isdigit() else c.isalpha() for word in words for c in word)


def _is_sentence(words: list[str]) -> bool:
    # "five one five, five one five" is a number of six digits, and both halves of it count.
    return words[-1][-1] in ".!?" and not any(c.isdigit() for word in words for c in word)


def _collapse(words: list[str], bare: list[str]) -> list[str]:
    """Keeps one of every run of a phrase said three times or more in a row; a cut last one counts too."""
    for length in range(1, len(words) // _RUNAWAY_TIMES + 1):
        for start in range(len(words) - length * _RUNAWAY_TIMES + 1):
            phrase, end = bare[start : start + length], start + length
            while bare[end : end + length] == phrase:
                end += length
            if end - start < length * _RUNAWAY_TIMES:
                continue
            rest = bare[end:]
            if len(rest) < length and rest == phrase[: len(rest)]:
                end = len(words)
            kept = words[: start + length] + words[end:]
            return _collapse(kept, bare[: start + length] + bare[end:])
    return words
