"""Fixed phrases kept after their first synthesis, least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from tellerline.engine.tts.port import Spoken


@dataclass(frozen=True)
class Phrase:
    """What makes two syntheses the same."""

    voice: str
    text: str
    speed: float
    rate_hz: int


class PhraseCache:
    """Holds at most `capacity_bytes` of PCM."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._kept: OrderedDict[Phrase, tuple[Spoken, ...]] = OrderedDict()
        self.size_bytes = 0

    def get(self, phrase: Phrase) -> tuple[Spoken, ...] | None:
        """The phrase's sentences, or None."""
        if phrase in self._kept:
            self._kept.move_to_end(phrase)
        return self._kept.get(phrase)

    def put(self, phrase: Phrase, spoken: tuple[Spoken, ...]) -> None:
        """Keeps a phrase; one larger than the whole cache is not kept."""
        size = sum(len(sentence.pcm) for sentence in spoken)
        if phrase in self._kept or size > self._capacity_bytes:
            return
        self._kept[phrase] = spoken
        self.size_bytes += size
        while self.size_bytes > self._capacity_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.size_bytes -= sum(len(sentence.pcm) for sentence in oldest)
