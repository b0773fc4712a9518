"""Sentences of a text, places of its words, phrases kept."""

import itertools

import pytest

from tellerline.engine.tts.cache import Phrase, PhraseCache
from tellerline.engine.tts.port import Spoken, Word
from tellerline.engine.tts.text import place, sentences, weights


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Sure. One moment!  Which card?", ["Sure.", "One moment!", "Which card?"]),
        ("Mr. Smith, your balance is $2.50 today.", ["Mr. Smith, your balance is $2.50 today."]),
        ("We open at 9 a.m. on Monday.", ["We open at 9 a.m. on Monday."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("  one\n clause,  ", ["one clause,"]),
        ("", []),
        ("   ", []),
    ],
)
def test_sentences(text: str, found: list[str]) -> None:
    assert sentences(text) == found


def test_words_lie_end_to_end_over_the_sound() -> None:
    words = ["Your", "balance", "is", "$250."]
    placed = place(words, weights(words), 1000, 2000)
    assert [word.text for word in placed] == words
    assert (placed[0].start_ms, placed[-1].end_ms) == (1000, 2000)
    assert all(one.end_ms == other.start_ms for one, other in itertools.pairwise(placed))


def test_digits_take_longer_than_letters() -> None:
    digits, letters = weights(["250", "and"])
    assert digits > 2 * letters


def phrase(text: str) -> Phrase:
    return Phrase("joe", text, 1.0, 8000)


def spoken(size: int) -> tuple[Spoken, ...]:
    return (Spoken(bytes(size), (Word("x", 0, 1),)),)


def test_the_cache_forgets_the_least_recently_used() -> None:
    cache = PhraseCache(100)
    for text in ("a", "b"):
        cache.put(phrase(text), spoken(40))
    assert cache.get(phrase("a")) is not None
    cache.put(phrase("c"), spoken(40))
    assert [cache.get(phrase(text)) is not None for text in "abc"] == [True, False, True]
    assert cache.size_bytes == 80


def test_another_speed_is_another_phrase() -> None:
    cache = PhraseCache(100)
    cache.put(phrase("a"), spoken(40))
    assert cache.get(Phrase("joe", "a", 0.8, 8000)) is None


def test_a_phrase_larger_than_the_cache_is_not_kept() -> None:
    cache = PhraseCache(100)
    cache.put(phrase("a"), spoken(101))
    assert (cache.get(phrase("a")), cache.size_bytes) == (None, 0)
