"""Every language has the same words to say, with the same things in them, and listens for as much."""

from __future__ import annotations

from string import Formatter

import pytest

from tellerline import language
from tellerline.language.numbers import vocabulary

OTHERS = ["tr"]


def slots(clauses: tuple[str, ...]) -> set[str]:
    return {name for clause in clauses for _, name, _, _ in Formatter().parse(clause) if name}


@pytest.mark.parametrize("code", OTHERS)
def test_every_phrase_is_there(code: str) -> None:
    assert language.load(code).phrases.keys() == language.load("en").phrases.keys()


@pytest.mark.parametrize("code", OTHERS)
def test_every_template_is_there_with_its_slots(code: str) -> None:
    ours, english = language.load(code).templates, language.load("en").templates
    assert ours.keys() == english.keys()
    for key, clauses in english.items():
        assert slots(ours[key]) == slots(clauses), key


@pytest.mark.parametrize("code", OTHERS)
def test_every_command_is_there(code: str) -> None:
    assert language.load(code).commands.keys() >= language.load("en").commands.keys()
    assert (
        language.load(code).commands["languages"].keys() == language.load("en").commands["languages"].keys()
    )


@pytest.mark.parametrize("code", ["en", *OTHERS])
@pytest.mark.parametrize("name", ["accounts", "calendar", "money"])
def test_the_same_things_are_spoken_of(code: str, name: str) -> None:
    english, ours = language.data("en", name), language.data(code, name)
    assert ours.get("spoken", {}).keys() == english.get("spoken", {}).keys()
    assert len(ours.get("months", [])) == len(english.get("months", []))


@pytest.mark.parametrize("code", ["en", *OTHERS])
def test_no_phrase_leaves_a_figure_to_the_voice(code: str) -> None:
    said = [
        *language.load(code).phrases.values(),
        *(c for t in language.load(code).templates.values() for c in t),
    ]
    assert not [text for text in said if any(c.isdigit() for c in text)]


@pytest.mark.parametrize("code", ["en", *OTHERS])
def test_two_phrases_never_sound_the_same_twice_over(code: str) -> None:
    """A rendering is found by its text: two keys of one text may share it, but no text may be empty."""
    assert all(text.strip() == text and text for text in language.load(code).phrases.values())


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(Exception, match="xx"):
        language.load("xx")


def test_a_template_is_filled_and_begins_with_a_capital() -> None:
    filled = language.clauses("tr", "fee", fee="iki lira")
    assert filled == ("İşlem ücreti iki lira.",)
    assert language.capital("iki lira", "tr") == "İki lira"
    assert language.capital("two", "en") == "Two"


def test_a_slot_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError):
        language.clauses("en", "fee")


@pytest.mark.parametrize(
    ("text", "code", "folded"),
    [
        ("IĞDIR'da İki Şube", "tr", "igdir'da iki sube"),
        ("Café", "en", "cafe"),
        ("ÇÜNKÜ", "tr", "cunku"),
    ],
)
def test_folding_drops_accents_and_capitals(text: str, code: str, folded: str) -> None:
    assert language.fold(text, code) == folded


def test_turkish_capitals_do_not_split_words() -> None:
    assert language.words("İstanbul'da İki") == ["istanbul'da", "iki"]


@pytest.mark.parametrize("word", ["ona", "altın", "yüzden", "birlikte", "onaylıyorum", "ücret"])
def test_turkish_words_that_look_like_numbers_are_none(word: str) -> None:
    assert not vocabulary("tr").is_counting(word)


@pytest.mark.parametrize("word", ["onbeş", "yirmibeşte", "üçüncü", "ikisi", "bindokuzyüz"])
def test_turkish_numbers_are_found_in_one_word_and_with_endings(word: str) -> None:
    assert vocabulary("tr").is_counting(word)
