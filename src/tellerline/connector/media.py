"""The audio of a lane's calls: what is played to each caller, and what is heard, 20 ms at a time.

Sound is S16LE PCM, mono, 8,000 Hz. The SIP stack's clock thread calls `take` and `give` of each call
every 20 ms; everything else runs on the asyncio loop. The clock thread does as little as it can: it
takes 320 bytes under a lock held for microseconds, appends 320 bytes to a deque and wakes the loop at
most once a tick for all calls.
"""

from __future__ import annotations

import asyncio
import threading
import time
import wave
from collections import deque
from collections.abc import Callable
from pathlib import Path

from tellerline.errors import SettingsError

RATE_HZ = 8000
TICK_SAMPLES = 160
TICK_BYTES = 2 * TICK_SAMPLES
SILENCE = bytes(TICK_BYTES)

# A queue that ran dry and is filled again this soon left a hole in a sentence; later, it is a new one.
_HOLE_TICKS = 10
# What the last BYE must wait for: the far end's jitter buffer still holds this much.
_TAIL_TICKS = 10


def load_phrase(path: Path) -> bytes:
    """The samples of a WAV file that must be 8,000 Hz, mono, 16 bit, and not empty.

    Raises SettingsError naming the file and what is wrong with it.
    """
    render = "render it with `tellerline phrases render`"
    try:
        with wave.open(str(path), "rb") as file:
            shape = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            pcm = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise SettingsError(f"{path}: cannot be read as WAV ({error}); {render}") from error
    if shape != (RATE_HZ, 1, 2) or not pcm:
        raise SettingsError(
            f"{path}: has {shape[0]} Hz, {shape[1]} channels, {8 * shape[2]} bit, {len(pcm)} bytes; "
            f"must be 8000 Hz, 1 channel, 16 bit and not empty; {render}"
        )
    return pcm


class PlayOut:
    """The queue of what one caller will hear.

    `played_samples` counts the bot's samples that went out; flushed ones and file phrases never count.
    A file phrase pre-empts: it plays even while paused, and the bot's queue waits behind it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bot: deque[memoryview] = deque()
        self._phrase = memoryview(b"")
        self._paused = False
        self._held = False
        self._idle_ticks = 0
        self._ran_dry = False
        self.played_samples = 0
        self.underrun_ticks = 0

    # ---- the loop's side

    def push(self, pcm: bytes) -> None:
        """Queues bot audio of any length; a lone last byte is dropped."""
        pcm = pcm[: len(pcm) & ~1]
        if not pcm:
            return
        with self._lock:
            if self._ran_dry and not self._paused and self._idle_ticks <= _HOLE_TICKS:
                self.underrun_ticks += self._idle_ticks
            self._ran_dry = False
            self._idle_ticks = 0
            self._bot.append(memoryview(pcm))

    def pause(self) -> None:
        """Stops the bot's audio at the next tick, keeping the queue."""
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        """Goes on where it was paused."""
        with self._lock:
            self._paused = False

    def flush(self) -> None:
        """Drops the bot's queue and ends a pause."""
        with self._lock:
            self._bot.clear()
            self._paused = False
            self._ran_dry = False

    def hold(self, held: bool) -> None:
        """While held nothing is consumed: the far end does not listen (RFC 3264 section 8.4)."""
        with self._lock:
            self._held = held

    def play_phrase(self, pcm: bytes) -> None:
        """Drops the bot's queue and plays `pcm` at once."""
        self.flush()
        with self._lock:
            self._phrase = memoryview(pcm)
            self._idle_ticks = 0

    def restart_count(self) -> None:
        """Starts `played_samples` again: a stream was attached."""
        with self._lock:
            self._bot.clear()
            self._paused = self._ran_dry = False
            self.played_samples = 0

    @property
    def drained(self) -> bool:
        """Nothing is left to play, and the far end has had time to play what it buffers."""
        with self._lock:
            return not self._bot and not self._phrase and self._idle_ticks >= _TAIL_TICKS

    # ---- the clock thread's side

    def take(self) -> bytes:
        """The next 20 ms for the caller, 320 bytes; silence when nothing is due."""
        with self._lock:
            if self._held:
                return SILENCE
            if self._phrase:
                pcm = bytes(self._phrase[:TICK_BYTES])
                self._phrase = self._phrase[TICK_BYTES:]
                return pcm if len(pcm) == TICK_BYTES else pcm.ljust(TICK_BYTES, b"\0")
            if self._paused or not self._bot:
                self._idle_ticks += 1
                return SILENCE
            return self._take_bot()

    def _take_bot(self) -> bytes:
        head = self._bot[0]
        if len(head) == TICK_BYTES:
            self._bot.popleft()
            pcm = bytes(head)
        else:
            parts, missing = [], TICK_BYTES
            while missing and self._bot:
                head = self._bot.popleft()
                if len(head) > missing:
                    self._bot.appendleft(head[missing:])
                    head = head[:missing]
                parts.append(head)
                missing -= len(head)
            pcm = b"".join(parts)
        self.played_samples += len(pcm) // 2
        self._idle_ticks = 0
        if not self._bot:
            self._ran_dry = True
        return pcm if len(pcm) == TICK_BYTES else pcm.ljust(TICK_BYTES, b"\0")


class Seat:
    """One of the lane's places in the media clock: a call's play-out, and where its sound goes.

    Seats live as long as the process; a call takes one when it is answered and leaves it when it ended.
    """

    def __init__(self, index: int, handover: Handover) -> None:
        self.index = index
        self._handover = handover
        self.playout: PlayOut | None = None
        self._played = SILENCE

    def take(self) -> bytes:
        """Clock thread: the next 20 ms to send."""
        playout = self.playout
        self._played = SILENCE if playout is None else playout.take()
        return self._played

    def give(self, pcm: bytes) -> None:
        """Clock thread: 20 ms that arrived; silence where the caller sent nothing."""
        if self.playout is not None:
            self._handover.put(self.index, pcm if len(pcm) == TICK_BYTES else SILENCE, self._played)


class Handover:
    """Carries a tick's audio, heard and played, from the clock thread to the loop.

    The loop is woken once a tick for all calls. `deliver(seat, heard, played, captured_ns)`.
    """

    # Two seconds of four calls; a loop stalled for longer loses the oldest sound, not memory.
    _LIMIT_FRAMES = 400

    def __init__(
        self, loop: asyncio.AbstractEventLoop, deliver: Callable[[int, bytes, bytes, int], None]
    ) -> None:
        self._loop = loop
        self._deliver = deliver
        self._frames: deque[tuple[int, bytes, bytes, int]] = deque(maxlen=self._LIMIT_FRAMES)
        self._woken = False

    def put(self, seat: int, heard: bytes, played: bytes) -> None:
        """Clock thread: hands over one tick of one seat."""
        self._frames.append((seat, heard, played, time.monotonic_ns()))
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:
                # The loop is closed; the clock runs on until the stack is destroyed.
                self._frames.clear()

    def _drain(self) -> None:
        # Cleared first: a frame put while draining then wakes again rather than waiting a tick.
        self._woken = False
        while self._frames:
            self._deliver(*self._frames.popleft())
