"""The intents' examples in every language, and what public categories are called here."""

import csv
import json
from pathlib import Path

import pytest

from tellerline.errors import SettingsError
from tellerline.language import intents

_DATA = Path(__file__).resolve().parents[1] / "data"
_LANGUAGES = ("en", "tr")


@pytest.mark.parametrize("language", _LANGUAGES)
def test_every_intent_has_examples(language: str) -> None:
    said = {sentence.intent for sentence in intents.examples(language).sentences(1)}
    assert said == set(intents.INTENTS)


@pytest.mark.parametrize("language", _LANGUAGES)
def test_no_slot_is_left_unfilled_and_the_same_seed_says_the_same(language: str) -> None:
    sentences = intents.examples(language).sentences(3)
    assert not [sentence.text for sentence in sentences if "{" in sentence.text or "}" in sentence.text]
    assert sentences == intents.examples(language).sentences(3)
    assert sentences != intents.examples(language).sentences(3, seed=1)


@pytest.mark.parametrize("language", _LANGUAGES)
def test_a_pattern_means_one_thing(language: str) -> None:
    meant: dict[str, set[str]] = {}
    for sentence in intents.examples(language).sentences(1):
        meant.setdefault(sentence.pattern.lower(), set()).add(sentence.intent)
    assert {pattern: its for pattern, its in meant.items() if len(its) > 1} == {}


@pytest.mark.parametrize("language", _LANGUAGES)
def test_the_held_out_sentences_are_no_examples(language: str) -> None:
    known = {_plain(one.text) for one in intents.examples(language).sentences(5)}
    with (_DATA / f"intents-{language}.csv").open(encoding="utf-8") as file:
        held_out = list(csv.DictReader(file))
    assert [row["text"] for row in held_out if _plain(row["text"]) in known] == []
    assert {row["category"] for row in held_out} == set(intents.INTENTS)


def test_no_sentence_of_a_public_set_is_an_example(shared_data: Path) -> None:
    with (shared_data / "banking77-train.csv").open(encoding="utf-8", newline="") as file:
        public = {_plain(row["text"]) for row in csv.DictReader(file)}
    for fold in (shared_data / "nlupp-banking").glob("fold*.json"):
        public |= {_plain(one["text"]) for one in json.loads(fold.read_text(encoding="utf-8"))}
    ours = {_plain(one.text) for one in intents.examples("en").sentences(8)}
    # Nobody owns "no" or "good evening".
    assert {text for text in ours & public if len(text.split()) > 2} == set()


def _plain(text: str) -> str:
    return text.lower().strip(" .?!")


@pytest.mark.parametrize(
    ("category", "intent"),
    [
        ("card_arrival", "card_delivery"),
        ("compromised_card", "lost_card"),
        ("transfer_timing", "out_of_scope"),
        ("transfer", "transfer"),
        ("a category nobody knows", "out_of_scope"),
    ],
)
def test_a_category_stands_for_an_intent(category: str, intent: str) -> None:
    assert intents.of_category(category) == intent


@pytest.mark.parametrize(
    ("text", "language", "lower"),
    [("Is IT", "en", "is it"), ("İPTAL ISRARI ", "tr", "iptal ısrarı"), ("IBAN", "en", "iban")],
)
def test_folding_follows_the_language(text: str, language: str, lower: str) -> None:
    assert intents.folded(text, language) == lower


def test_a_language_without_examples_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"intents\.yml"):
        intents.examples("xx")
