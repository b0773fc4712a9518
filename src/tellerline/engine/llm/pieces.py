"""Token bytes assembled into text: whole UTF-8 characters, and nothing of a stop string."""

from __future__ import annotations

import codecs


class Pieces:
    """Takes token bytes, gives text that can be passed on.

    Text that may be the beginning of a stop string is held back until the next token decides.
    """

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._stop = tuple(text for text in stop if text)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def add(self, token: bytes) -> str:
        """The text that is certain now; sets `stopped` when a stop string is complete."""
        self._held += self._decoder.decode(token)
        ends = [at for at in (self._held.find(text) for text in self._stop) if at >= 0]
        if ends:
            self.stopped = True
            text, self._held = self._held[: min(ends)], ""
            return text
        keep = max((_overlap(self._held, text) for text in self._stop), default=0)
        text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return text

    def rest(self) -> str:
        """What was held back, at the end of a generation; an incomplete character is left out."""
        text, self._held = self._held, ""
        return text


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that begins `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
