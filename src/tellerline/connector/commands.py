"""What a call's table of states can ask for: the commands its driver carries out."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from tellerline.connector.events import Timer


class Phrase(enum.Enum):
    """A pre-rendered file the connector can play by itself."""

    APOLOGY = "apology"
    GOODBYE = "goodbye"


class Command:
    """Something the driver has to do."""


@dataclass(frozen=True)
class AskAdmission(Command):
    """Ask the pipeline, with a deadline."""


@dataclass(frozen=True)
class Refuse(Command):
    """Answer the INVITE with a failure. `retry_after_seconds` 0 stands for the site's setting."""

    sip_status: int
    reason: str
    retry_after_seconds: int = 0


@dataclass(frozen=True)
class OpenRecord(Command):
    """Make the call record durable."""


@dataclass(frozen=True)
class DiscardRecord(Command):
    """The call was not answered after all: there must be no record."""


@dataclass(frozen=True)
class CloseRecord(Command):
    """Write how the call ended."""

    reason: str


@dataclass(frozen=True)
class Answer(Command):
    """Send 200 OK."""


@dataclass(frozen=True)
class Attach(Command):
    """Open the stream; when resuming, as soon as the pipeline is healthy."""

    resume: bool
    attempt: int = 1


@dataclass(frozen=True)
class Detach(Command):
    """Close the stream, telling the pipeline that the call is over."""


@dataclass(frozen=True)
class Play(Command):
    """Drop what is queued and play a phrase from file."""

    phrase: Phrase


@dataclass(frozen=True)
class AwaitPlayout(Command):
    """Report PlayoutDone once nothing is left to play."""


@dataclass(frozen=True)
class SendDigit(Command):
    """Pass a key press up."""

    digit: str = field(repr=False)
    duration_ms: int = 0


@dataclass(frozen=True)
class SendHold(Command):
    """Tell the pipeline about hold; play-out waits while held."""

    held: bool


@dataclass(frozen=True)
class SendRefer(Command):
    """Send REFER (blind transfer, RFC 3515)."""

    target: str
    user_to_user: str = ""


@dataclass(frozen=True)
class SendTransferProgress(Command):
    """Tell the pipeline how its transfer goes."""

    request_id: int
    sip_status: int
    final: bool


@dataclass(frozen=True)
class HangUp(Command):
    """Send BYE."""


@dataclass(frozen=True)
class StartTimer(Command):
    """Report TimerFired after the time this timer has."""

    timer: Timer


@dataclass(frozen=True)
class StopTimer(Command):
    """Forget a timer."""

    timer: Timer
