"""Cuts the language model's stream into clauses to speak: a short first one, then whole sentences."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

from pipecat.utils.text.base_text_aggregator import Aggregation, BaseTextAggregator, TextType

from tellerline import language
from tellerline.pipeline.guards import FigureGuard, PromiseGuard, RambleGuard, SecretsGuard

# Piper makes a 0.6 s clause in 55-97 ms and a 3 s sentence in 200-280 ms (docs/latency.md): the first
# audio must not wait for a sentence, nor run dry before the second piece is made, which is cut shorter
# than a sentence as well.
FIRST_CLAUSE_WORDS = 2
MAX_WORDS_BY_PIECE = (4, 10)

_SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*\s")
_CLAUSE_END = re.compile(r"[,;:.!?–—]+[\"')\]]*\s")
# Markup and emoji that a voice cannot speak.
_UNSPEAKABLE = re.compile(r"[*_#`<>|\\~^\[\]{}\U00010000-\U0010ffff]")


class ClauseAggregator(BaseTextAggregator):
    """A pipecat text aggregator whose output is fit to be spoken.

    A clause with a figure in it, one that asks for a secret or one that promises something is replaced by the
    fixed phrase "no_figures", "no_secrets" or "no_promises" (`phrase` gives their texts) and ends the answer;
    what comes after the guards have closed an answer is swallowed. `guarded(name)` counts what was replaced.
    """

    def __init__(
        self, words: language.Language, phrase: Callable[[str], str], guarded: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._words = words
        self._figures = FigureGuard(words)
        self._secrets = SecretsGuard(words)
        self._promises = PromiseGuard(words)
        self._phrase = phrase
        self._guarded = guarded
        self._clear()

    def speak(self, words: language.Language) -> None:
        """Guards answers in this language from now on."""
        if words is not self._words:
            self._words, self._figures, self._secrets = words, FigureGuard(words), SecretsGuard(words)
            self._promises = PromiseGuard(words)

    def _clear(self) -> None:
        self._text = ""
        # What of the current sentence has been spoken: a clause alone may hide what the whole says.
        self._sentence = ""
        self._spoken = 0
        self._closed = False
        self._ramble = RambleGuard()

    @property
    def text(self) -> Aggregation:
        """What is waiting for its end."""
        return Aggregation(self._text, TextType.SENTENCE)

    @property
    def closed(self) -> bool:
        """Whether the answer has been cut: more text is not worth generating."""
        return self._closed

    async def aggregate(self, text: str) -> AsyncIterator[Aggregation]:
        """Yields each clause that `text` completes."""
        self._text += text
        while not self._closed and (length := self._complete()):
            clause, self._text = self._text[:length], self._text[length:]
            if fit := self._fit(clause):
                yield Aggregation(fit, TextType.SENTENCE)

    def _complete(self) -> int:
        if self._spoken >= len(MAX_WORDS_BY_PIECE):
            end = _SENTENCE_END.search(self._text)
            return end.end() if end else 0
        for end in _CLAUSE_END.finditer(self._text):
            words = len(self._text[: end.end()].split())
            if words >= FIRST_CLAUSE_WORDS or self._text[end.start()] in ".!?":
                return end.end()
        limit = MAX_WORDS_BY_PIECE[self._spoken]
        ends = [word.end() for word in re.finditer(r"\S+\s+", self._text)]
        # One word more than is taken: the last word of a sentence must not be left behind alone.
        return ends[limit - 1] if len(ends) > limit else 0

    def _fit(self, clause: str) -> str:
        clause = " ".join(_UNSPEAKABLE.sub(" ", clause).split())
        if not clause:
            return ""
        sentence = f"{self._sentence} {clause}"
        if self._figures.speaks_figures(sentence):
            return self._close("figures", self._phrase("no_figures"))
        if self._secrets.asks_for_secrets(sentence):
            return self._close("secrets", self._phrase("no_secrets"))
        if self._promises.promises(sentence):
            return self._close("promises", self._phrase("no_promises"))
        if not self._ramble.allows(clause):
            return self._close("ramble", "")
        self._sentence = "" if _SENTENCE_END.search(f"{clause} ") else sentence
        self._spoken += 1
        return clause

    def _close(self, guard: str, instead: str) -> str:
        self._guarded(guard)
        self._closed = True
        return instead

    async def flush(self) -> Aggregation | None:
        """The rest of the answer, and ready for the next."""
        rest, closed = self._text, self._closed
        fit = "" if closed else self._fit(rest)
        self._clear()
        return Aggregation(fit, TextType.SENTENCE) if fit else None

    async def handle_interruption(self) -> None:
        """Forgets the answer."""
        self._clear()

    async def reset(self) -> None:
        """Forgets the answer."""
        self._clear()
