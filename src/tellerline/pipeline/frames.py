"""Our own pipecat frames: what the telephone line can do that pipecat has no frame for."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipecat.frames.frames import ControlFrame, ProposedUserStoppedSpeakingFrame, SystemFrame

from tellerline.pipeline.flows.events import Begin, Event, Unserved


@dataclass
class Transfer:
    """A caller to be handed over to `target` (a SIP URI).

    `reference` goes out in User-to-User; `summary` stays here, for the session service.
    """

    target: str = ""
    reference: str = ""
    summary: str = ""
    # The connector has been told; its final progress is awaited.
    sent: bool = False


@dataclass
class EventFrame(SystemFrame):
    """Something the conversation is to know, other than words and keys."""

    event: Event = field(default_factory=Begin)


@dataclass
class UnservedFrame(SystemFrame):
    """Upstream: the answer under way has none to give it or to speak it. It ends here."""

    event: Unserved = field(default_factory=lambda: Unserved("language_model"))


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
class HeldFrame(SystemFrame):
    """The caller has put us on hold, or (`held` false) taken us off it."""

    held: bool = True


@dataclass
class PartingFrame(SystemFrame):
    """The call ends, whatever the caller does: say phrase `phrase` (a key) and hang up for `reason`."""

    phrase: str = ""
    reason: str = ""


@dataclass
class HangUpFrame(ControlFrame):
    """End the call once everything before this frame was played. An interruption drops it."""

    reason: str = ""


@dataclass
class TransferFrame(ControlFrame):
    """Hand the call over once everything before this frame was sent or dropped; no interruption drops it."""

    interruptible: bool = field(default=False, init=False)
    transfer: Transfer = field(default_factory=Transfer)
