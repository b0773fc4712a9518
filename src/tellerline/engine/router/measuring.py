"""How well sentences are routed: macro-F1, recall in scope, false accepts, and who is taken for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tellerline.language.intents import INTENTS, OUT_OF_SCOPE

Pair = tuple[str, str]


@dataclass(frozen=True)
class Figures:
    """Shares are 0..1; 0 where nothing was there to be counted."""

    sentences: int
    # Mean F1 over the intents that occur, out of scope being one of them.
    macro_f1: float
    # The same over those in scope.
    macro_f1_in_scope: float
    f1: Mapping[str, float]
    # Of the sentences in scope: how many were given their intent.
    recall_in_scope: float
    # Of the sentences out of scope: how many were given an intent.
    false_accepts: float
    # Of the sentences in scope: how many were given another intent, which is worse than none.
    mistaken: float
    # (meant, taken for) → sentences.
    confusion: Mapping[Pair, int]


def figures(pairs: Iterable[Pair]) -> Figures:
    """The figures of (meant, taken for) pairs."""
    confusion = Counter(pairs)
    meant, taken = Counter[str](), Counter[str]()
    for (one, other), count in confusion.items():
        meant[one] += count
        taken[other] += count
    f1 = {i: 2 * confusion[i, i] / (meant[i] + taken[i]) for i in INTENTS if meant[i]}
    scope = {i: value for i, value in f1.items() if i != OUT_OF_SCOPE}
    inside = sum(meant[i] for i in scope)
    right = sum(confusion[i, i] for i in scope)
    refused = sum(confusion[i, OUT_OF_SCOPE] for i in scope)
    outside = meant[OUT_OF_SCOPE]
    return Figures(
        sentences=inside + outside,
        macro_f1=_share(sum(f1.values()), len(f1)),
        macro_f1_in_scope=_share(sum(scope.values()), len(scope)),
        f1=f1,
        recall_in_scope=_share(right, inside),
        false_accepts=_share(outside - confusion[OUT_OF_SCOPE, OUT_OF_SCOPE], outside),
        mistaken=_share(inside - right - refused, inside),
        confusion=dict(confusion),
    )


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
