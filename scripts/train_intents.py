"""Trains the intent heads of src/tellerline/language/intent_weights and prints how well they do.

English learns from our own examples and from banking77 (Casanueva et al. 2020, PolyAI, CC BY 4.0), whose file
is given; a fifth of it, chosen by each sentence's SHA-256, is kept out of every shipped head. Other languages
learn from our own examples alone. Run it again after a change of language/*/intents.yml:

    .venv/bin/python scripts/train_intents.py --banking77 ../shared/data/banking77-train.csv
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np

from tellerline.engine import manifest
from tellerline.engine.router import loading, measuring, training
from tellerline.engine.router.head import Head
from tellerline.engine.store import ModelStore
from tellerline.language import intents
from tellerline.language.intents import Sentence
from tellerline.settings import RouterSettings

_TOP = Path(__file__).resolve().parents[1]
_FOLDS = 5
_BANKING77 = (
    "BANKING77 by PolyAI Limited (Casanueva et al. 2020, Efficient Intent Detection with Dual Sentence "
    "Encoders), CC BY 4.0, https://github.com/PolyAI-LDN/task-specific-datasets; four fifths of its training "
    "split; only weights were derived from it"
)


def main() -> None:
    """Trains every configured language."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--banking77", type=Path, required=True, help="banking77's training split as CSV")
    parser.add_argument("--store", type=Path, default=_TOP / "var/models", help="folder of the model store")
    parser.add_argument("--language", action="append", help="only this one; may be repeated")
    given = parser.parse_args()
    store = ModelStore(given.store, manifest.load(_TOP / "models/starter.yml"))
    public = training.rows(given.banking77)
    for language, model in RouterSettings().models.items():
        if not given.language or language in given.language:
            _train(language, model, store, public if language == "en" else [])


def _train(language: str, model: str, store: ModelStore, public: list[training.Row]) -> None:
    embedder = loading.load_embedder(model, store, threads=2)
    embed = training.embedding(embedder, language)
    sentences = intents.examples(language).sentences(training.FILLINGS)
    taught = [row for row in public if not training.held_out(row[0])]
    about = {"examples": "our own", "sentences": len(sentences)}
    if taught:
        about |= {"attribution": _BANKING77, "banking77_sentences": len(taught)}
    threshold = training.THRESHOLDS[language]
    head = training.learn(model, embed, sentences, taught, about, threshold=threshold)
    head.save(loading.head_path(language))
    print(f"{language}: {len(sentences)} sentences of ours, {len(taught)} of banking77")
    _print(
        "  our own examples, each pattern kept out once", _unseen(model, embed, sentences, taught, threshold)
    )
    if public:
        kept = [row for row in public if training.held_out(row[0])]
        own = training.learn(model, embed, sentences, threshold=threshold)
        _print("  banking77, the fifth kept out", _measured(head, embed, kept))
        _print("  banking77, our own examples alone", _measured(own, embed, kept))
    embedder.close()


def _unseen(
    model: str,
    embed: training.Embed,
    sentences: list[Sentence],
    taught: list[training.Row],
    threshold: float,
) -> measuring.Figures:
    patterns = sorted({(one.intent, one.pattern) for one in sentences})
    random.Random(1).shuffle(patterns)
    fold = {pattern: at % _FOLDS for at, pattern in enumerate(patterns)}
    pairs = []
    for left_out in range(_FOLDS):
        known = [one for one in sentences if fold[one.intent, one.pattern] != left_out]
        asked = [one for one in sentences if fold[one.intent, one.pattern] == left_out]
        head = training.learn(model, embed, known, taught, threshold=threshold)
        routed = map(head.route, embed(one.text for one in asked))
        pairs += [(one.intent, its.intent) for one, its in zip(asked, routed, strict=True)]
    return measuring.figures(pairs)


def _measured(head: Head, embed: training.Embed, rows: list[training.Row]) -> measuring.Figures:
    vectors = embed(text for text, _ in rows)
    assert np.isfinite(vectors).all()
    return measuring.figures(
        (intents.of_category(category), head.route(vector).intent)
        for (_, category), vector in zip(rows, vectors, strict=True)
    )


def _print(what: str, found: measuring.Figures) -> None:
    print(
        f"{what}: macro-F1 {found.macro_f1:.3f}, recall in scope {found.recall_in_scope:.3f}, "
        f"false accepts {found.false_accepts:.3f}, one intent for another {found.mistaken:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
