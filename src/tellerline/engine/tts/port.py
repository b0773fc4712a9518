"""The port every speech synthesiser fulfils: text in, sentences of audio with their words out."""

from __future__ import annotations

import abc
from collections.abc import AsyncGenerator
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A spoken word with its punctuation, and where it lies from the start of the whole reply."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Spoken:
    """One sentence of audio, S16LE mono at the rate asked for."""

    pcm: bytes
    words: tuple[Word, ...]
    cached: bool = False


class Synthesizer(abc.ABC):
    """A loaded voice, shared by all calls."""

    @abc.abstractmethod
    def synthesize(self, text: str, speed: float, rate_hz: int, keep: bool) -> AsyncGenerator[Spoken, None]:
        """Yields each sentence as it is made; closing the iterator stops before the next one.

        `speed` 1.0 is the voice's own pace. `keep` caches the result: only for text that is not personal.
        Raises SynthesisError.
        """

    @abc.abstractmethod
    async def pulse(self) -> None:
        """Returns once the worker behind it has come round to it; one that hangs never does."""

    @abc.abstractmethod
    def close(self) -> None:
        """Frees the model."""
