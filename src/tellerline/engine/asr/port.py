"""The port every speech recogniser fulfils: one utterance in, its text out."""

from __future__ import annotations

import abc
from dataclasses import dataclass


@dataclass(frozen=True)
class Heard:
    """What a recogniser made of an utterance. `text` is empty when it was not speech."""

    text: str
    # Natural logarithm, mean over tokens; 0 where an engine has none.
    avg_logprob: float = 0.0
    # 0..1; 0 where an engine has none.
    no_speech_prob: float = 0.0
    compression_ratio: float = 0.0
    audio_ms: int = 0
    decode_ms: int = 0
    queued_ms: int = 0


class Utterance(abc.ABC):
    """One stretch of speech being recognised. Audio is S16LE mono at 8,000 Hz."""

    @abc.abstractmethod
    async def hear(self, pcm: bytes) -> str | None:
        """Takes audio; returns the text so far when it changed and partials were asked for."""

    @abc.abstractmethod
    async def finalize(self) -> Heard:
        """The text of all audio so far. Cancelling it keeps it from starting; more audio may follow.

        Raises RecognitionError.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Frees what the utterance holds. Work not started is dropped."""


class Recognizer(abc.ABC):
    """A loaded speech recognition model, shared by all calls."""

    @abc.abstractmethod
    def open(self, language: str, partials: bool) -> Utterance:
        """Starts an utterance. Raises RecognitionError for a language the model does not know."""

    @abc.abstractmethod
    async def pulse(self) -> None:
        """Returns once the worker behind it has come round to it; one that hangs never does."""

    @abc.abstractmethod
    def close(self) -> None:
        """Frees the model."""
