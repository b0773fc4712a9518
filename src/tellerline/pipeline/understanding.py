"""What words mean: the router first, the language model for what it doubts or where there is no router."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tellerline.errors import EngineUnavailable
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.flows.events import Guess
from tellerline.pipeline.providers.of_call import CallProviders
from tellerline.pipeline.providers.ports import Doubt, Speaker

log = logging.getLogger(__name__)

# Below this nobody is asked whether they meant it.
POSSIBLE = 0.25
# From here on "none of the intents" is believed.
ELSE = 0.6
ROUTE_SECONDS = 1.0
CHOOSE_SECONDS = 2.0
_CONSIDERED = 3
# What the language model chooses from while there is no router: what callers are asked about before it is
# done. The rest is known by its words (yes, no, goodbye) or by its key.
INTENTS = (
    "card_delivery",
    "balance",
    "transactions",
    "lost_card",
    "pay_bill",
    "transfer",
    "branch",
    "human",
)


@dataclass(frozen=True)
class Routed:
    """The router's guesses, likeliest first; `accepted`: it stands by the first one."""

    guesses: tuple[Guess, ...] = ()
    accepted: bool = False


class Understanding(Protocol):
    """Where intents come from."""

    async def route(self, text: str, language: str) -> Routed:
        """No guesses where nobody can tell."""

    async def choose(self, text: str, language: str, among: Sequence[str]) -> str:
        """The one of `among` that the language model takes the words for; "" for none."""


class CallUnderstanding:
    """The engine's router and the site's language models, for one call; `speaker()` is whose turn it is."""

    def __init__(self, engine: Engine, providers: CallProviders, speaker: Callable[[], Speaker]) -> None:
        self._engine = engine
        self._providers = providers
        self._speaker = speaker

    async def route(self, text: str, language: str) -> Routed:
        """No guesses while the engine has no router, or none for this language."""
        call_id = self._speaker().call_id
        try:
            reply = await self._engine.route(call_id, text, language, ROUTE_SECONDS)
        except EngineUnavailable as error:
            log.info("call %s: not routed: %s", call_id, error)
            return Routed()
        guesses = tuple(Guess(guess.intent, guess.probability, "router") for guess in reply.guesses)
        return Routed(guesses, reply.accepted)

    async def choose(self, text: str, language: str, among: Sequence[str]) -> str:
        """By the providers of this turn, in their order; no pick of theirs but one of `among` counts."""
        return await self._providers.choose_intent(Doubt(self._speaker(), text, tuple(among)), CHOOSE_SECONDS)


async def understand(understanding: Understanding, text: str, language: str) -> tuple[Guess, Guess | None]:
    """What `text` means, and what it may mean where that is in doubt: ask before acting on it."""
    routed = await understanding.route(text, language)
    if routed.accepted:
        return routed.guesses[0], None
    if not routed.guesses:
        chosen = await understanding.choose(text, language, [*INTENTS, "out_of_scope"])
        return Guess(by="model"), Guess(chosen, by="model") if chosen in INTENTS else None
    if _is_surely_else(routed.guesses[0]):
        return Guess(), None
    possible = [
        guess
        for guess in routed.guesses[:_CONSIDERED]
        if guess.intent != "out_of_scope" and guess.probability >= POSSIBLE
    ]
    if not possible:
        return Guess(), None
    names = [guess.intent for guess in possible]
    chosen = await understanding.choose(text, language, [*names, "out_of_scope"])
    if chosen == "out_of_scope":
        return Guess(by="model"), None
    doubted = next((guess for guess in possible if guess.intent == chosen), possible[0])
    return Guess(), Guess(doubted.intent, doubted.probability, "model" if chosen else "router")


def _is_surely_else(first: Guess) -> bool:
    return first.intent == "out_of_scope" and first.probability >= ELSE
