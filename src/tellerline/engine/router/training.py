"""What an intent head is trained on: our own examples, and the categories of a public data set."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tellerline.engine.router.head import Head
from tellerline.engine.router.learning import Sample, train
from tellerline.engine.router.port import Embedder, Vectors
from tellerline.errors import SettingsError
from tellerline.language import intents

Embed = Callable[[Iterable[str]], Vectors]

# Of every pattern with slots.
FILLINGS = 3
# By cross-validation over the patterns (docs/intents.md); a stronger one leaves probabilities too flat.
PENALTY = 3e-6
# Where no public set tells what is out of scope, doubt is asked about sooner: on Turkish patterns left out,
# 0.6 instead of 0.5 brings false accepts from 0.190 to 0.129 and mistaken intents from 0.027 to 0.018.
THRESHOLDS = {"en": 0.5, "tr": 0.6}
# One of our sentences counts as this many of a public set, which has thousands and few intents of ours.
_OWN_WEIGHT = 3.0

Row = tuple[str, str]


def rows(path: Path) -> list[Row]:
    """(text, category) of a CSV file with these columns. Raises SettingsError when it is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            found = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise SettingsError(
            f"{path}: is not a CSV file with the columns text and category ({error!r})"
        ) from error
    if not found or any(text is None or category is None for text, category in found):
        raise SettingsError(f"{path}: must have rows of two columns, text and category")
    return found


def held_out(text: str) -> bool:
    """Whether a sentence belongs to the fifth that no shipped head was trained on: by its SHA-256."""
    return hashlib.sha256(text.encode()).digest()[0] % 5 == 0


def learn(
    model: str,
    embed: Embed,
    sentences: Sequence[intents.Sentence],
    others: Sequence[Row] = (),
    about: dict[str, Any] | None = None,
    penalty: float = PENALTY,
    threshold: float = THRESHOLDS["en"],
) -> Head:
    """A head from our own sentences, and from rows of a public set, whose categories become its classes."""
    samples = [
        Sample(f"our {topic}", intent, embed(one.text for one in its), _OWN_WEIGHT)
        for (intent, topic), its in _by_topic(sentences).items()
    ]
    for category in sorted({category for _, category in others}):
        texts = [text for text, its in others if its == category]
        samples.append(Sample(category, intents.of_category(category), embed(texts)))
    return train(model, samples, penalty, threshold, about or {})


def _by_topic(sentences: Sequence[intents.Sentence]) -> dict[tuple[str, str], list[intents.Sentence]]:
    found: dict[tuple[str, str], list[intents.Sentence]] = {}
    for one in sentences:
        found.setdefault((one.intent, one.topic), []).append(one)
    return found


def embedding(embedder: Embedder, language: str) -> Embed:
    """Many sentences at once as the router would see them, each embedded once."""
    known: dict[str, Vectors] = {}

    def embed(texts: Iterable[str]) -> Vectors:
        found = []
        for text in (intents.folded(one, language) for one in texts):
            if text not in known:
                known[text] = embedder.embed(text)
            found.append(known[text])
        return np.stack(found)

    return embed
