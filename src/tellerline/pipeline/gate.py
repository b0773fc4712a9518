"""The gate after synthesis: speech made for a turn that may go on is not heard before its end."""

from __future__ import annotations

import time
from collections import deque

from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    SystemFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tellerline.pipeline.call import Call


class SpeechGate(FrameProcessor):
    """Holds everything downstream while the caller's turn is open.

    pipecat's own gate sits inside the language model service, so synthesis could not be speculative
    too. Verdicts are system frames: they overtake the speech they judge, and a withdrawal has stopped
    the synthesis before it gets here, so nothing of a dropped answer can follow it.
    """

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call
        self._held: deque[Frame] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Holds, releases or drops."""
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, (SystemFrame, EndFrame)):
            await self._judge(frame)
        else:
            if isinstance(frame, TTSAudioRawFrame):
                self._call.clock.mark("first_samples", time.monotonic_ns())
            if self._held is None:
                await self.push_frame(frame)
            else:
                self._held.append(frame)

    async def _judge(self, frame: Frame) -> None:
        if isinstance(frame, UserStartedSpeakingFrame):
            self._held = deque()
        elif isinstance(frame, (InterruptionFrame, EagerEndOfTurnCancelFrame)) and self._held is not None:
            self._held = deque(frame for frame in self._held if not frame.interruptible)
        await self.push_frame(frame)
        if isinstance(frame, (UserStoppedSpeakingFrame, EndFrame)):
            await self._release()

    async def _release(self) -> None:
        # Frames that arrive while this runs join the end of the queue, in order.
        if self._held is None:
            return
        if any(isinstance(frame, TTSAudioRawFrame) for frame in self._held):
            self._call.clock.mark("released", time.monotonic_ns())
        while self._held:
            await self.push_frame(self._held.popleft())
        self._held = None
