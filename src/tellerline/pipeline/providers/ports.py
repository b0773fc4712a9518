"""What a provider of each kind does for a call: hear an utterance, answer a conversation, speak a clause."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from tellerline.language import Language
from tellerline.rpc import engine_pb2 as pb


@dataclass(frozen=True)
class Speaker:
    """Whose turn it is, and the language it is in."""

    call_id: str
    turn_id: int
    words: Language


@dataclass(frozen=True)
class Question:
    """A conversation (without its prompt), whose last word is the caller's."""

    asker: Speaker
    messages: tuple[pb.Message, ...]
    max_tokens: int


@dataclass(frozen=True)
class Doubt:
    """A caller's words, and the intents they may mean."""

    asker: Speaker
    text: str
    among: tuple[str, ...]


@dataclass(frozen=True)
class Clause:
    """Something to say; `speed` 1.0 is the voice's own pace."""

    speaker: Speaker
    text: str
    speed: float = 1.0
    # A phrase that is the same for everybody: it may be kept.
    fixed: bool = False


class Chat(Protocol):
    """A language model."""

    def answer(self, question: Question, seconds: float) -> AsyncGenerator[str, None]:
        """The answer, piece by piece; closing the iterator stops the model.

        Raises LanguageModelError when it fails, or `seconds` have passed.
        """

    async def choose(self, doubt: Doubt, seconds: float) -> str:
        """The intent of `doubt.among` it takes the words for; "" where it names another.

        Raises LanguageModelError.
        """


class Voice(Protocol):
    """A synthesiser."""

    def speak(self, clause: Clause) -> AsyncGenerator[pb.SynthesizeReply, None]:
        """Audio (S16LE, 8,000 Hz) as it is made, words with their offsets from the start of it all.

        Raises SynthesisError.
        """


class Hearing(Protocol):
    """One utterance on its way to a text."""

    def audio(self, pcm: bytes) -> None:
        """Adds caller audio: S16LE at 8,000 Hz, any length."""

    async def text(self, sequence: int) -> pb.Transcript:
        """The text of all audio so far, marked with `sequence`. Raises RecognitionError."""

    def close(self) -> None:
        """Drops the utterance."""


class Recogniser(Protocol):
    """A recogniser."""

    def open(self, speaker: Speaker) -> Hearing:
        """Starts an utterance."""
