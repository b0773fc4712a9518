"""The port every language model fulfils: messages in, pieces of text out, until told to stop."""

from __future__ import annotations

import abc
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from tellerline.errors import LanguageModelError


class PromptError(LanguageModelError):
    """A prompt that cannot be served as it is; the message says what about it is wrong."""


@dataclass(frozen=True)
class Message:
    """One message of a conversation; `role` is "system", "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. Temperature 0 is greedy; top_p 0 is off."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prompt:
    """What to continue. `grammar` (GBNF) or `json_schema` constrains the answer; not both."""

    call_id: str
    messages: tuple[Message, ...]
    # A handle of open_prefix; messages follow it.
    prefix: str = ""
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=80))
    grammar: str = ""
    json_schema: str = ""


@dataclass(frozen=True)
class Prefix:
    """A prompt beginning evaluated once."""

    handle: str
    tokens: int


@dataclass(frozen=True)
class Ending:
    """The last thing a generation yields."""

    # "stop" or "length".
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    first_token_ms: int
    total_ms: int
    queued_ms: int


class LanguageModel(abc.ABC):
    """A loaded language model, shared by all calls."""

    @abc.abstractmethod
    async def open_prefix(self, messages: tuple[Message, ...]) -> Prefix:
        """Evaluates `messages`; prompts that start with them share the work.

        Raises LanguageModelError when they leave no room for a conversation.
        """

    @abc.abstractmethod
    def generate(self, prompt: Prompt) -> AsyncGenerator[str | Ending, None]:
        """Yields pieces of whole characters, then one Ending. Closing the iterator stops the model at the
        next token. Raises PromptError for a prompt that cannot be served, LanguageModelError when it fails.
        """

    @property
    @abc.abstractmethod
    def failure(self) -> LanguageModelError | None:
        """Why the model can answer nobody any more and its process has to be replaced; None while it can."""

    @abc.abstractmethod
    def forget(self, call_id: str) -> None:
        """Frees everything cached for a call."""

    @abc.abstractmethod
    async def pulse(self) -> None:
        """Returns once the worker behind it has come round to it; one that hangs never does."""

    @abc.abstractmethod
    def close(self) -> None:
        """Frees the model."""
