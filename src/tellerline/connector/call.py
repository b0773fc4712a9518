"""One call as a table of states: events in, commands out, no I/O.

Theory of operation
-------------------
A driver feeds `Call.receive` with what happened (an INVITE, the ACK, a stream lost, a timer) and
carries out the commands it returns, in order. Nothing here knows SIP, gRPC, files or clocks, so a whole
call is a transcript that tests can write down.

    IDLE         nothing yet
    ADMITTING    asked the pipeline whether it takes the call
    OPENING      admitted; the record is being made durable, so that no 200 OK leaves without one
    ANSWERING    200 OK sent, waiting for the ACK
    ATTACHED     the pipeline has the call (its `Attached` may still be on the way)
    REATTACHING  the pipeline died once; the caller heard the apology; its next life is waited for
    CLOSING      the last audio plays out, then BYE
    CLOSED       over

TRANSFERRING and being on hold are flags beside the state: either may be true while the pipeline dies
and comes back. `_TABLE` names every transition; an event with no row for the state is meaningless there
(a digit while closing, a second BYE) and is ignored.

A pipeline is called dead when its stream ends or is silent for the heartbeat limit. After the first
death the caller hears an apology at once and the call is attached again, with resume=True, to the next
life that answers a health check. A call that saw two deaths may be their cause and is not attached a
third time: it ends with the goodbye file. RTP never stops meanwhile, the media side sees to that.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_ATTEMPTS = 2
# A phrase or the rest of a sentence never plays longer; then the BYE goes out anyway.
PLAYOUT_LIMIT_SECONDS = 30.0
# REFER to final NOTIFY. A carrier rings the person for so long, then we talk to the caller again.
TRANSFER_LIMIT_SECONDS = 60.0


class State(enum.Enum):
    """Where a call is; see the module docstring."""

    IDLE = "idle"
    ADMITTING = "admitting"
    OPENING = "opening"
    ANSWERING = "answering"
    ATTACHED = "attached"
    REATTACHING = "reattaching"
    CLOSING = "closing"
    CLOSED = "closed"


class Phrase(enum.Enum):
    """A pre-rendered file the connector can play by itself."""

    APOLOGY = "apology"
    GOODBYE = "goodbye"


class Timer(enum.Enum):
    """Timers the driver keeps; starting one again restarts it."""

    REATTACH = "reattach"
    PLAYOUT = "playout"
    TRANSFER = "transfer"


# ---- events -----------------------------------------------------------------------


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
    """The caller pressed a key."""

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


# ---- commands ---------------------------------------------------------------------


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


# ---- the call ---------------------------------------------------------------------


class Call:
    """The states of one call. Feed it events in the order they happened."""

    def __init__(self) -> None:
        self.state = State.IDLE
        self.held = False
        # request_id of the transfer under way.
        self.transferring: int | None = None
        self.attempts = 0
        # Why the call ends; the far end's BYE when nothing else decided it first.
        self.reason = "caller"

    def receive(self, event: Event) -> list[Command]:
        """What to do about `event`, in order; an event that means nothing here does nothing."""
        handler = _TABLE.get((self.state, type(event)))
        return handler(self, event) if handler else []

    # Each handler is one row, or a few, of _TABLE.

    def _invited(self, event: Invited) -> list[Command]:
        if event.refusal is not None:
            self.state = State.CLOSED
            return [Refuse(503, event.refusal)]
        self.state = State.ADMITTING
        return [AskAdmission()]

    def _admitted(self, event: Admitted) -> list[Command]:
        self.state = State.OPENING
        return [OpenRecord()]

    def _refused(self, event: Refused) -> list[Command]:
        self.state = State.CLOSED
        return [Refuse(503, event.reason, event.retry_after_seconds)]

    def _record_failed(self, event: RecordFailed) -> list[Command]:
        self.state = State.CLOSED
        return [Refuse(503, "spool")]

    def _record_opened(self, event: RecordOpened) -> list[Command]:
        self.state = State.ANSWERING
        return [Answer()]

    def _record_too_late(self, event: RecordOpened) -> list[Command]:
        # The caller cancelled while the record was being written.
        return [DiscardRecord()]

    def _answer_failed(self, event: AnswerFailed) -> list[Command]:
        self.state = State.CLOSED
        return [DiscardRecord()]

    def _cancelled(self, event: Disconnected) -> list[Command]:
        self.state = State.CLOSED
        return []

    def _not_confirmed(self, event: Disconnected) -> list[Command]:
        # Without a 200 OK it was a CANCEL that came first, or an offer the stack could not answer (488).
        self.state = State.CLOSED
        return [CloseRecord("no_ack")] if event.answered else [DiscardRecord()]

    def _confirmed(self, event: Confirmed) -> list[Command]:
        self.state = State.ATTACHED
        self.attempts = 1
        return [Attach(resume=False, attempt=1)]

    def _stream_lost(self, event: StreamLost) -> list[Command]:
        if self.attempts >= MAX_ATTEMPTS:
            return self._goodbye("pipeline_lost")
        self.state = State.REATTACHING
        self.attempts += 1
        return [
            Play(Phrase.APOLOGY),
            StartTimer(Timer.REATTACH),
            Attach(resume=True, attempt=self.attempts),
        ]

    def _reattached(self, event: StreamUp) -> list[Command]:
        self.state = State.ATTACHED
        return [StopTimer(Timer.REATTACH), *self._stream_up(event)]

    def _stream_up(self, event: StreamUp) -> list[Command]:
        return [SendHold(True)] if self.held else []

    def _hold_early(self, event: HoldChanged) -> list[Command]:
        # Told once the pipeline has the call.
        self.held = event.held
        return []

    def _goodbye(self, reason: str) -> list[Command]:
        self.state = State.CLOSING
        self.reason = reason
        return [
            StopTimer(Timer.REATTACH),
            Detach(),
            Play(Phrase.GOODBYE),
            AwaitPlayout(),
            StartTimer(Timer.PLAYOUT),
        ]

    def _digit(self, event: DigitPressed) -> list[Command]:
        return [SendDigit(event.digit, event.duration_ms)]

    def _hold(self, event: HoldChanged) -> list[Command]:
        if event.held == self.held:
            return []
        self.held = event.held
        return [SendHold(event.held)]

    def _hang_up_asked(self, event: HangUpAsked) -> list[Command]:
        self.reason = event.reason or "pipeline"
        self.state = State.CLOSING
        if event.after_playout and not self.held:
            return [AwaitPlayout(), StartTimer(Timer.PLAYOUT)]
        return [HangUp()]

    def _hang_up_now(self, reason: str) -> list[Command]:
        self.reason = reason
        self.state = State.CLOSING
        return [HangUp()]

    def _timer_fired(self, event: TimerFired) -> list[Command]:
        if event.timer is Timer.REATTACH and self.state is State.REATTACHING:
            return self._goodbye("pipeline_lost")
        if event.timer is Timer.PLAYOUT and self.state is State.CLOSING:
            return [HangUp()]
        if event.timer is Timer.TRANSFER and self.transferring is not None:
            return self._transfer_status(TransferStatus(408, final=True))
        return []

    def _transfer_asked(self, event: TransferAsked) -> list[Command]:
        if self.transferring is not None:
            return [SendTransferProgress(event.request_id, 491, final=True)]
        self.transferring = event.request_id
        return [SendRefer(event.target, event.user_to_user), StartTimer(Timer.TRANSFER)]

    def _transfer_status(self, event: TransferStatus) -> list[Command]:
        if self.transferring is None:
            return []
        progress = SendTransferProgress(self.transferring, event.sip_status, event.final)
        if not event.final:
            return [progress]
        self.transferring = None
        commands: list[Command] = [progress, StopTimer(Timer.TRANSFER)]
        if 200 <= event.sip_status < 300:
            # The transferor ends its own dialog once the target has answered (RFC 5589 section 6.1).
            commands += self._hang_up_now("transferred")
        return commands

    def _playout_done(self, event: PlayoutDone) -> list[Command]:
        return [HangUp()]

    def _ended(self, event: Disconnected) -> list[Command]:
        self.state = State.CLOSED
        return [Detach(), CloseRecord(self.reason)]


_Handler = Callable[[Call, "Event"], list[Command]]
_LIVE = (State.ATTACHED, State.REATTACHING)


def _table() -> dict[tuple[State, type[Event]], _Handler]:
    table: dict[tuple[State, type[Event]], Callable[..., list[Command]]] = {
        (State.IDLE, Invited): Call._invited,
        (State.ADMITTING, Admitted): Call._admitted,
        (State.ADMITTING, Refused): Call._refused,
        (State.ADMITTING, Disconnected): Call._cancelled,
        (State.OPENING, RecordOpened): Call._record_opened,
        (State.OPENING, RecordFailed): Call._record_failed,
        (State.OPENING, Disconnected): Call._cancelled,
        (State.ANSWERING, Confirmed): Call._confirmed,
        (State.ANSWERING, AnswerFailed): Call._answer_failed,
        (State.ANSWERING, Disconnected): Call._not_confirmed,
        (State.ANSWERING, DrainDeadline): lambda call, event: call._hang_up_now("drained"),
        (State.ANSWERING, HoldChanged): Call._hold_early,
        (State.ATTACHED, StreamUp): Call._stream_up,
        (State.ATTACHED, StreamLost): Call._stream_lost,
        (State.ATTACHED, DigitPressed): Call._digit,
        (State.ATTACHED, HangUpAsked): Call._hang_up_asked,
        (State.ATTACHED, TransferAsked): Call._transfer_asked,
        (State.REATTACHING, StreamUp): Call._reattached,
        (State.REATTACHING, StreamLost): Call._stream_lost,
        (State.CLOSING, PlayoutDone): Call._playout_done,
        (State.CLOSING, RtpSilent): Call._playout_done,
        (State.CLOSING, DrainDeadline): Call._playout_done,
        (State.CLOSING, TimerFired): Call._timer_fired,
        (State.CLOSING, Disconnected): Call._ended,
        (State.CLOSED, RecordOpened): Call._record_too_late,
    }
    for state in _LIVE:
        table[state, HoldChanged] = Call._hold
        table[state, TransferStatus] = Call._transfer_status
        table[state, TimerFired] = Call._timer_fired
        table[state, Disconnected] = Call._ended
        table[state, RtpSilent] = lambda call, event: call._hang_up_now("rtp_silence")
        table[state, DrainDeadline] = lambda call, event: call._hang_up_now("drained")
    return table


_TABLE = _table()
