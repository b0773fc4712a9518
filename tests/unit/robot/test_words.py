"""Word errors, against jiwer, and the normaliser."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellerline.robot import words
from tellerline.robot.benchmarks.recognition import runs_away, spelled


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Transfer $250 to Maria.", "transfer two hundred fifty dollars to maria"),
        ("It's OK", "it is okay"),
        ("The 4th of July 1982", "the fourth of july one thousand nine hundred eighty two"),
        ("1-2-0, please!", "one two zero please"),
        ("account 0345", "account zero three four five"),
        ("12,000 people", "12000 people"),
        ("don’t", "do not"),
    ],
)
def test_different_spellings_are_the_same_words(one: str, other: str) -> None:
    assert words.normalised(one) == words.normalised(other)


_TEXTS = st.lists(st.sampled_from(["card", "my", "lost", "i", "account"]), min_size=1, max_size=8)


@given(_TEXTS, _TEXTS)
def test_word_errors_are_jiwers(said: list[str], heard: list[str]) -> None:
    wrong, count = words.word_errors(" ".join(said), " ".join(heard))
    assert count == len(said)
    assert wrong / count == pytest.approx(jiwer.wer(" ".join(said), " ".join(heard)))


def test_a_phrase_is_found_by_whole_words_only() -> None:
    assert words.contains("We open at 9, Monday to Friday.", "at nine")
    assert not words.contains("a discard pile", "card")


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("Yes. Yes. Yes. Yes.", True),
        ("I am here I am here I am here I am here", True),
        ("one one one one one one", False),
        ("yes yes yes no", False),
    ],
)
def test_runaway_repeats(text: str, runs: bool) -> None:
    assert runs_away(text) is runs


def test_digit_strings_are_compared_digit_by_digit() -> None:
    assert spelled("12-03, four oh 5.") == "one two zero three four zero five"
