"""A site's providers: who is set up, in which order they are asked, and how that is switched."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import httpx

from tellerline.breaker import Breaker
from tellerline.errors import LanguageModelError, SettingsError
from tellerline.monitoring import metrics
from tellerline.pipeline import engine
from tellerline.pipeline.providers import chain, openai_server
from tellerline.pipeline.providers.chain import Provider
from tellerline.pipeline.providers.elevenlabs import ElevenLabsVoice
from tellerline.pipeline.providers.kept import KeepingVoice
from tellerline.pipeline.providers.local import LocalChat, LocalRecogniser, LocalVoice
from tellerline.pipeline.providers.openai_chat import OpenAIChat
from tellerline.pipeline.providers.openai_transcription import OpenAIRecogniser
from tellerline.pipeline.providers.ports import Chat, Clause, Doubt, Question, Recogniser, Speaker, Voice
from tellerline.pipeline.providers.utterance import Utterance
from tellerline.rpc import engine_pb2 as pb
from tellerline.settings import ProviderKind, ProvidersSettings

log = logging.getLogger(__name__)

KINDS: tuple[ProviderKind, ...] = get_args(ProviderKind)
NAMES: Mapping[ProviderKind, tuple[str, ...]] = {
    "recognition": ("local", "openai"),
    "language_model": ("local", "openai"),
    "synthesis": ("local", "elevenlabs"),
}


@dataclass(frozen=True)
class Strategy:
    """Who is asked for each kind: the first, and the next where that one fails."""

    recognition: tuple[str, ...] = ("local",)
    language_model: tuple[str, ...] = ("local",)
    synthesis: tuple[str, ...] = ("local",)


class Providers:
    """Every provider of a process, shared by its calls. Connects to nobody until somebody is asked.

    Raises SettingsError where a key cannot be read.
    """

    def __init__(self, settings: ProvidersSettings, local: engine.Engine) -> None:
        self.settings = settings
        self.strategy = Strategy(settings.recognition, settings.language_model, settings.synthesis)
        self._client: httpx.AsyncClient | None = None
        self._chats: dict[str, Provider[Chat]] = {}
        # The same models: a server that knows no schemas may answer questions all the same.
        self._choosers: dict[str, Provider[Chat]] = {}
        self._recognisers: dict[str, Provider[Recogniser]] = {}
        self._voices: dict[str, Provider[Voice]] = {}
        self._engine = local
        self._kept: dict[str, KeepingVoice] = {}
        self._set_up("local", LocalChat(local), LocalRecogniser(local), LocalVoice(local))
        if settings.openai is not None:
            client = self._client = openai_server.client(settings.openai, settings.patience_seconds)
            self._set_up(
                "openai",
                OpenAIChat(settings.openai, client) if settings.openai.chat_model else None,
                OpenAIRecogniser(settings.openai, client) if settings.openai.transcription_model else None,
            )
        if settings.elevenlabs is not None:
            voice = KeepingVoice(ElevenLabsVoice(settings.elevenlabs, settings.patience_seconds))
            self._kept["elevenlabs"] = voice
            self._set_up("elevenlabs", voice=voice)

    async def close(self) -> None:
        """Closes every connection of ours."""
        if self._client is not None:
            await self._client.aclose()

    def choose(self, orders: Mapping[str, Sequence[str]]) -> None:
        """From the next turns on, asks providers in these orders, by kind. All or none of them are taken.

        Raises SettingsError where one is not set up; it says what to set.
        """
        chosen: dict[str, tuple[str, ...]] = {}
        for kind in orders:
            if kind not in KINDS:
                raise SettingsError(f"providers: there is no kind {kind!r}; there are: {', '.join(KINDS)}")
            try:
                self.settings.check(kind, tuple(orders[kind]))
            except ValueError as error:
                raise SettingsError(f"providers: {error}") from error
            chosen[kind] = tuple(orders[kind])
        self.strategy = dataclasses.replace(self.strategy, **chosen)
        log.warning("providers are now %s", self.strategy)

    def breaker(self, kind: ProviderKind, name: str) -> Breaker | None:
        """The breaker in front of a provider; None where it is not set up."""
        lines: Mapping[ProviderKind, Mapping[str, Provider[Any]]] = {
            "recognition": self._recognisers,
            "language_model": self._chats,
            "synthesis": self._voices,
        }
        provider = lines[kind].get(name)
        return provider.breaker if provider is not None else None

    # ---- what a call asks for

    def answer(self, strategy: Strategy, question: Question, seconds: float) -> AsyncGenerator[str, None]:
        """As Chat.answer, by whoever can."""
        if strategy.language_model == ("local",):
            return self._chats["local"].port.answer(question, seconds)
        line = [self._chats[name] for name in strategy.language_model]
        return chain.answer(line, question, seconds, self.settings.patience_seconds)

    async def choose_intent(self, strategy: Strategy, doubt: Doubt, seconds: float) -> str:
        """The intent that the language model takes the words for, by whoever can; "" for none."""
        if strategy.language_model == ("local",):
            try:
                return await self._chats["local"].port.choose(doubt, seconds)
            except LanguageModelError:
                return ""
        line = [self._choosers[name] for name in strategy.language_model]
        return await chain.choose(line, doubt, seconds, self.settings.patience_seconds)

    def speak(self, strategy: Strategy, clause: Clause) -> AsyncGenerator[pb.SynthesizeReply, None]:
        """As Voice.speak, by whoever can."""
        if strategy.synthesis == ("local",):
            return self._voices["local"].port.speak(clause)
        keeping = self._kept.get(strategy.synthesis[0])
        if keeping is not None and (kept := keeping.kept(clause)):
            return _again(kept)
        line = [self._voices[name] for name in strategy.synthesis]
        return chain.speak(line, clause, self.settings.patience_seconds)

    def recognise(
        self, strategy: Strategy, speaker: Speaker, heard: Callable[[pb.Transcript | None], None]
    ) -> Utterance | engine.Utterance:
        """Opens one utterance; `heard` gets each transcript, and None when nobody has one."""
        if strategy.recognition == ("local",):
            return self._engine.recognise(speaker.call_id, speaker.turn_id, speaker.words.code, heard)
        line = [self._recognisers[name] for name in strategy.recognition]
        return Utterance(line, speaker, heard, self.settings.patience_seconds)

    # ---- setting up

    def _set_up(
        self,
        name: str,
        chat: Chat | None = None,
        recogniser: Recogniser | None = None,
        voice: Voice | None = None,
    ) -> None:
        if chat is not None:
            self._chats[name] = self._provider("language_model", name, chat)
            self._choosers[name] = self._provider("choosing", name, chat)
        if recogniser is not None:
            self._recognisers[name] = self._provider("recognition", name, recogniser)
        if voice is not None:
            self._voices[name] = self._provider("synthesis", name, voice)

    def _provider(self, kind: str, name: str, port: Any) -> Provider[Any]:
        breaker = Breaker(
            f"{kind} by {name}",
            self.settings.breaker_failures,
            self.settings.breaker_half_open_seconds,
            metrics.PIPELINE_PROVIDER_BREAKER.labels(kind, name).state,
        )
        return Provider(kind, name, port, breaker)


async def _again(kept: tuple[pb.SynthesizeReply, ...]) -> AsyncGenerator[pb.SynthesizeReply, None]:
    for reply in kept:
        yield reply
