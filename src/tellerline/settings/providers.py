"""Who recognises, answers and speaks for a pipeline, and where providers elsewhere are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

import pydantic
from pydantic import Field

from tellerline.settings.concern import Concern


def _words_on_the_wire(scheme: Literal["http", "ws"]) -> pydantic.AfterValidator:
    def check(url: str) -> str:
        parts = urlsplit(url)
        plain = parts.scheme == scheme and parts.hostname in ("127.0.0.1", "::1", "localhost")
        if not parts.hostname or not (plain or parts.scheme == f"{scheme}s"):
            raise ValueError(
                f"callers' words travel here: give an {scheme}s:// address, or {scheme}:// on 127.0.0.1"
            )
        return url.rstrip("/")

    return pydantic.AfterValidator(check)


class OpenAISettings(Concern):
    """A server of OpenAI's protocol: OpenAI's own, a vLLM or a llama-server. No address is assumed."""

    # With the version: "https://api.openai.com/v1"; plain http only on this machine.
    base_url: Annotated[str, _words_on_the_wire("http")]
    # File (a systemd credential) with the key; a server that asks for none ignores it.
    key: Path
    # PEM file of the authority that signed the server's certificate; None: the system's.
    authority: Path | None = None
    # None: not used as a language model. One that does not think aloud first: 60 tokens are asked for.
    chat_model: str | None = None
    # None: not used as a recogniser.
    transcription_model: str | None = None
    # None: the server's own.
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None


class ElevenLabsSettings(Concern):
    """ElevenLabs' streaming synthesis. No address is assumed."""

    # "wss://api.elevenlabs.io", or "wss://api.eu.residency.elevenlabs.io" to stay in the EU.
    base_url: Annotated[str, _words_on_the_wire("ws")]
    # File (a systemd credential) with the key.
    key: Path
    voice_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{4,64}$")]
    model: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")] = "eleven_flash_v2_5"
    authority: Path | None = None


ProviderKind = Literal["recognition", "language_model", "synthesis"]


class ProvidersSettings(Concern):
    """Who recognises, answers and speaks: the first of each list, and the next where that one fails.

    "local" is the engine. Nothing is sent to a provider that is in no list.
    """

    recognition: tuple[Literal["local", "openai"], ...] = ("local",)
    language_model: tuple[Literal["local", "openai"], ...] = ("local",)
    synthesis: tuple[Literal["local", "elevenlabs"], ...] = ("local",)
    openai: OpenAISettings | None = None
    elevenlabs: ElevenLabsSettings | None = None
    # How long a provider is waited for, for its first word or sound and each next, while another is left.
    patience_seconds: Annotated[float, Field(gt=0, le=5)] = 1.5
    breaker_failures: Annotated[int, Field(ge=1)] = 3
    breaker_half_open_seconds: Annotated[float, Field(gt=0)] = 30.0

    @pydantic.model_validator(mode="after")
    def _all_set_up(self) -> Self:
        for kind in get_args(ProviderKind):
            self.check(kind, getattr(self, kind))
        return self

    def check(self, kind: ProviderKind, order: tuple[str, ...]) -> None:
        """Raises ValueError where `order` of `kind` names nobody, one twice, or one that is not set up."""
        if not order or len(set(order)) < len(order):
            raise ValueError(f"{kind}: name at least one provider, and each once")
        for provider in order:
            if (why := self.missing(kind, provider)) is not None:
                raise ValueError(f"{kind}: {why}")

    def missing(self, kind: ProviderKind, provider: str) -> str | None:
        """What has to be set before `provider` can serve as `kind`; None when nothing has."""
        models = {"language_model": "chat_model", "recognition": "transcription_model"}
        match provider:
            case "local":
                return None
            case "openai" if kind in models:
                if self.openai is None:
                    return "set providers.openai with base_url and key to use openai"
                if getattr(self.openai, models[kind]) is None:
                    return f"set providers.openai.{models[kind]} to use openai"
                return None
            case "elevenlabs" if kind == "synthesis":
                missing = "set providers.elevenlabs with base_url, key and voice_id to use elevenlabs"
                return missing if self.elevenlabs is None else None
        return f"there is no provider {provider!r}"
