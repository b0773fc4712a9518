"""What a caller may want: the intents, our own examples of each, and what other data sets call them."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from tellerline.errors import SettingsError

OUT_OF_SCOPE = "out_of_scope"
INTENTS = (
    "card_delivery",
    "balance",
    "transactions",
    "lost_card",
    "pay_bill",
    "transfer",
    "branch",
    "human",
    "repeat",
    "slower",
    "cancel",
    "correct",
    "goodbye",
    "yes",
    "no",
    "language",
    "greeting",
    "help",
    OUT_OF_SCOPE,
)

_SLOT = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Sentence:
    """Something a caller says, what they mean, its topic within that, and the pattern it was made from."""

    text: str
    intent: str
    topic: str
    pattern: str


@dataclass(frozen=True)
class Examples:
    """One language's intents.yml: patterns by intent and topic, and what fills and surrounds them."""

    patterns: Mapping[tuple[str, str], tuple[str, ...]]
    slots: Mapping[str, tuple[str, ...]]
    openings: tuple[str, ...]
    closings: tuple[str, ...]
    carried: frozenset[str]

    def sentences(self, fillings: int, seed: int = 0) -> list[Sentence]:
        """Sentences made of the patterns, the same for the same seed.

        A pattern with slots is filled up to `fillings` times; a carried one is said once more with an
        opening or a closing.
        """
        chance = random.Random(seed)
        made: dict[Sentence, None] = {}
        for (intent, topic), patterns in self.patterns.items():
            for pattern in patterns:
                for _ in range(fillings if "{" in pattern else 1):
                    text = self._filled(pattern, chance)
                    made[Sentence(text, intent, topic, pattern)] = None
                    if intent in self.carried:
                        made[Sentence(self._carried(text, chance), intent, topic, pattern)] = None
        return list(made)

    def _filled(self, pattern: str, chance: random.Random) -> str:
        return _SLOT.sub(lambda slot: chance.choice(self.slots[slot[1]]), pattern)

    def _carried(self, sentence: str, chance: random.Random) -> str:
        if self.openings and (chance.random() < 0.6 or not self.closings):
            return chance.choice(self.openings) + sentence
        stop = sentence[-1] if sentence[-1] in ".?!" else ""
        return sentence.removesuffix(stop) + chance.choice(self.closings) + stop


@cache
def examples(language: str) -> Examples:
    """The examples of `language` ("en"). Raises SettingsError naming what is wrong with the file."""
    file = resources.files("tellerline.language") / language / "intents.yml"
    if not file.is_file():
        raise SettingsError(f"language: {language!r} has no intents.yml; there is no router without examples")
    data: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    patterns = {
        (intent, topic): tuple(map(str, said))
        for intent, topics in data["intents"].items()
        for topic, said in (topics if isinstance(topics, dict) else {intent: topics}).items()
    }
    slots = {name: tuple(map(str, values)) for name, values in data["slots"].items()}
    if unknown := set(data["intents"]) ^ set(INTENTS):
        raise SettingsError(f"language: {language}/intents.yml: missing or unknown: {sorted(unknown)}")
    for said in patterns.values():
        if bad := {name for pattern in said for name in _SLOT.findall(pattern)} - slots.keys():
            raise SettingsError(f"language: {language}/intents.yml: no such slots: {sorted(bad)}")
    return Examples(
        patterns=patterns,
        slots=slots,
        openings=tuple(data["openings"]),
        closings=tuple(data["closings"]),
        carried=frozenset(data["carried"]),
    )


def folded(text: str, language: str) -> str:
    """`text` in lower case by the rules of its language: so heads are trained, and so they are asked."""
    if language == "tr":
        text = text.replace("İ", "i").replace("I", "ı")
    return text.strip().lower()


@cache
def categories() -> Mapping[str, str]:
    """Category of a public data set → our intent (categories.yml)."""
    file = resources.files("tellerline.language") / "categories.yml"
    mapping: dict[str, str] = yaml.safe_load(file.read_text(encoding="utf-8"))
    if unknown := set(mapping.values()) - set(INTENTS):
        raise SettingsError(f"language: categories.yml: no such intents: {sorted(unknown)}")
    return mapping


def of_category(category: str) -> str:
    """The intent a category stands for: one of ours by name, as categories.yml maps it, or out of scope."""
    return category if category in INTENTS else categories().get(category, OUT_OF_SCOPE)
