"""How much of the bot's speech the caller has heard: pacing, pausing and flushing. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

RATE_HZ = 8000
# Samples sent ahead of the play-out position: five 20 ms ticks ride out a stalled loop, and no more
# than that is dropped when the caller interrupts.
LEAD_SAMPLES = 800

Mark = TypeVar("Mark")


class Playout(Generic[Mark]):
    """The bot's audio between this pipeline and the caller's ear.

    `sent` and `played` count samples at 8 kHz since the stream was attached. Marks are things that
    are true once the audio sent before them was heard: `heard` gets each at that moment, and marks
    of flushed audio never.
    """

    def __init__(self, heard: Callable[[Mark], None]) -> None:
        self._heard = heard
        self._marks: deque[tuple[int, Mark]] = deque()
        self._moved = asyncio.Event()
        self.sent = 0
        self.played = 0
        self.paused = False
        self.epoch = 0

    @property
    def unheard(self) -> bool:
        """Whether audio or marks are still on their way."""
        return self.sent > self.played or bool(self._marks)

    async def room(self, samples: int) -> bool:
        """Waits until `samples` fit into the lead. False if a flush came first: drop them."""
        epoch = self.epoch
        while self.epoch == epoch and self.sent + samples - self.played > LEAD_SAMPLES:
            self._moved.clear()
            await self._moved.wait()
        return self.epoch == epoch

    def send(self, samples: int) -> None:
        """Notes `samples` handed to the connector."""
        self.sent += samples

    def mark(self, mark: Mark) -> None:
        """Has `mark` heard after everything sent so far."""
        if self.played >= self.sent and not self._marks:
            self._heard(mark)
        else:
            self._marks.append((self.sent, mark))

    def advance(self, played: int) -> None:
        """The connector has played `played` samples so far."""
        if played <= self.played:
            return
        self.played = played
        # After a flush the connector may have played a tick more than was known here.
        self.sent = max(self.sent, played)
        while self._marks and self._marks[0][0] <= played:
            self._heard(self._marks.popleft()[1])
        self._moved.set()

    def flush(self) -> None:
        """What was not played is dropped, at the connector too, and will never count."""
        self.epoch += 1
        self.sent = self.played
        self.paused = False
        self._marks.clear()
        self._moved.set()
