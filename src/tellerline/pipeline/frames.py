"""Our own pipecat frames: what the telephone line can do that pipecat has no frame for."""

from __future__ import annotations

from dataclasses import dataclass

from pipecat.frames.frames import ControlFrame, ProposedUserStoppedSpeakingFrame, SystemFrame


@dataclass
class PausePlayoutFrame(SystemFrame):
    """Silence the bot at once and keep its queue."""


@dataclass
class ResumePlayoutFrame(SystemFrame):
    """Go on where the bot was paused."""


@dataclass
class TurnAbandonedFrame(ProposedUserStoppedSpeakingFrame):
    """The caller's open turn came to nothing; close it without an answer."""


@dataclass
class HangUpFrame(ControlFrame):
    """End the call once everything before this frame was played."""

    reason: str = ""


@dataclass
class TransferFrame(ControlFrame):
    """Hand the call to `target` (a SIP URI) once everything before this frame was sent."""

    target: str = ""
