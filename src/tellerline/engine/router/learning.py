"""Trains a linear head: softmax regression over embeddings that are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellerline.engine.router.head import Head
from tellerline.engine.router.port import Vectors

_STEPS = 400
_STEP = 0.5
# Adam (Kingma and Ba 2015) with its authors' constants.
_MOMENTUM, _SQUARES, _TINY = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Sample:
    """Sentences of one class, embedded."""

    name: str
    intent: str
    # Shape (sentences, dimensions).
    vectors: Vectors
    # What one sentence of it counts.
    weight: float = 1.0


def train(
    model: str, samples: Sequence[Sample], penalty: float, threshold: float, about: dict[str, Any]
) -> Head:
    """A head whose classes are the samples' names. `penalty` is the L2 weight on the mean loss.

    The loss is convex and the steps full batches, so the same samples give the same head.
    """
    intents = dict(sorted((sample.name, sample.intent) for sample in samples))
    names = list(intents)
    vectors = np.concatenate([sample.vectors for sample in samples]).astype(np.float32)
    gold = np.concatenate([np.full(len(s.vectors), names.index(s.name)) for s in samples])
    counts = np.concatenate([np.full(len(s.vectors), s.weight) for s in samples]).astype(np.float32)
    weights, bias = _softmax_regression(vectors, gold, counts / counts.sum(), len(names), penalty)
    return Head(model, weights, bias, tuple(intents.values()), threshold, about)


def _softmax_regression(
    vectors: Vectors, gold: NDArray[np.int64], counts: Vectors, classes: int, penalty: float
) -> tuple[Vectors, Vectors]:
    # The bias is the weight of one more dimension, always 1.
    given = np.hstack([vectors, np.ones((len(vectors), 1), np.float32)])
    weights = np.zeros((given.shape[1], classes), np.float32)
    mean, squares = np.zeros_like(weights), np.zeros_like(weights)
    rows = np.arange(len(given))
    for step in range(1, _STEPS + 1):
        scores = given @ weights
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        scores[rows, gold] -= 1
        gradient = given.T @ (scores * counts[:, np.newaxis])
        gradient[:-1] += penalty * weights[:-1]
        mean = _MOMENTUM * mean + (1 - _MOMENTUM) * gradient
        squares = _SQUARES * squares + (1 - _SQUARES) * gradient**2
        # The step shrinks to a tenth, so that the last ones settle.
        rate = _STEP * (1 - 0.9 * step / _STEPS)
        update = (mean / (1 - _MOMENTUM**step)) / (np.sqrt(squares / (1 - _SQUARES**step)) + _TINY)
        weights -= np.float32(rate) * update
    return weights[:-1].T.copy(), weights[-1].copy()
