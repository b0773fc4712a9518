"""The port of every sentence embedder, and what the router answers."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellerline.language.intents import OUT_OF_SCOPE

Vectors = NDArray[np.float32]


class Embedder(abc.ABC):
    """A loaded sentence embedding. Its methods block; one thread uses it at a time."""

    @abc.abstractmethod
    def embed(self, text: str) -> Vectors:
        """`text` as a vector of length 1, shape (dimensions,). Raises RoutingError."""

    @abc.abstractmethod
    def close(self) -> None:
        """Frees the model."""


@dataclass(frozen=True)
class Guess:
    """One intent, and how likely a caller's words mean it (0..1)."""

    intent: str
    probability: float


@dataclass(frozen=True)
class Routed:
    """What a caller's words may mean: every intent, likeliest first; their probabilities sum to 1."""

    guesses: tuple[Guess, ...]
    # The first guess is an intent, and as likely as the head's threshold asks.
    accepted: bool
    queued_ms: int = 0
    work_ms: int = 0

    @property
    def intent(self) -> str:
        """The intent to act on; "out_of_scope" when none was accepted."""
        return self.guesses[0].intent if self.accepted else OUT_OF_SCOPE
