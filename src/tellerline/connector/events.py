"""What can happen to a call: the events its table of states is fed."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Timer(enum.Enum):
    """Timers the driver keeps; starting one again restarts it."""

    REATTACH = "reattach"
    PLAYOUT = "playout"
    TRANSFER = "transfer"
    RINGING = "ringing"


class Event:
    """Something that happened to the call."""


@dataclass(frozen=True)
class Invited(Event):
    """An INVITE came. `refusal` is why this lane takes no calls now, or None."""

    refusal: str | None = None


@dataclass(frozen=True)
class Admitted(Event):
    """The pipeline takes the call."""


@dataclass(frozen=True)
class Refused(Event):
    """The pipeline does not take the call, or did not say in time."""

    reason: str
    retry_after_seconds: int = 0


@dataclass(frozen=True)
class RecordOpened(Event):
    """The call record is on disk."""


@dataclass(frozen=True)
class RecordFailed(Event):
    """The call record could not be made durable."""


@dataclass(frozen=True)
class AnswerFailed(Event):
    """The 200 OK could not be sent, so the call was never answered."""


@dataclass(frozen=True)
class Confirmed(Event):
    """The ACK arrived."""


@dataclass(frozen=True)
class StreamUp(Event):
    """The pipeline's `Attached` arrived."""


@dataclass(frozen=True)
class StreamLost(Event):
    """The stream to the pipeline ended or fell silent; that pipeline is dead to this call."""


@dataclass(frozen=True)
class DigitPressed(Event):
    """The caller pressed a key while a menu was open."""

    digit: str = field(repr=False)
    duration_ms: int = 0


@dataclass(frozen=True)
class HoldChanged(Event):
    """The far end put the call on hold, or took it back."""

    held: bool


@dataclass(frozen=True)
class RtpSilent(Event):
    """No RTP from the caller for the configured time, not on hold."""


@dataclass(frozen=True)
class Disconnected(Event):
    """The dialog ended: CANCEL, BYE, or no ACK. `answered` tells whether a 200 OK ever left."""

    answered: bool = True


@dataclass(frozen=True)
class HangUpAsked(Event):
    """The pipeline ends the call."""

    reason: str
    after_playout: bool = False


@dataclass(frozen=True)
class TransferAsked(Event):
    """The pipeline sends the caller elsewhere."""

    request_id: int
    target: str
    user_to_user: str = ""


@dataclass(frozen=True)
class TransferStatus(Event):
    """The REFER was answered, or a NOTIFY told how the transfer goes."""

    sip_status: int
    final: bool


@dataclass(frozen=True)
class PlayoutDone(Event):
    """Everything queued for the caller has been played."""


@dataclass(frozen=True)
class DrainDeadline(Event):
    """The lane goes down; calls still running end now."""


@dataclass(frozen=True)
class TimerFired(Event):
    """A timer started earlier ran out."""

    timer: Timer
