"""One call as a table of states: events in, commands out, no I/O.

Theory of operation
-------------------
A driver feeds `Call.receive` with what happened (`events.py`: an INVITE, the ACK, a stream lost, a
timer) and carries out the commands it returns (`commands.py`), in order. Nothing here knows SIP, gRPC,
files or clocks, so a whole call is a transcript that tests can write down.

    IDLE         nothing yet
    ADMITTING    asked the pipeline whether it takes the call
    OPENING      admitted; the record is being made durable, so that no 200 OK leaves without one
    ANSWERING    200 OK sent, waiting for the ACK
    ATTACHED     the pipeline has the call (its `Attached` may still be on the way)
    REATTACHING  the pipeline died once; the caller heard the apology; its next life is waited for
    CLOSING      the last audio plays out, then BYE
    CLOSED       over

TRANSFERRING and being on hold are flags beside the state: either may be true while the pipeline dies
and comes back. So is what keys are for (`dark_input.py`): only those of a menu get here. `_TABLE` names
every transition; an event with no row for the state is meaningless there (a digit while closing, a second
BYE) and is ignored.

A pipeline is called dead when its stream ends or is silent for the heartbeat limit. After the first
death the caller hears an apology at once and the call is attached again, with resume=True, to the next
life that answers a health check. A call that saw two deaths may be their cause and is not attached a
third time: it ends with the goodbye file. RTP never stops meanwhile, the media side sees to that.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from tellerline.connector import commands, events
from tellerline.connector.commands import Command, Phrase
from tellerline.connector.events import Event, Timer

MAX_ATTEMPTS = 2
# A phrase or the rest of a sentence never plays longer; then the BYE goes out anyway.
PLAYOUT_LIMIT_SECONDS = 30.0
# After a REFER: this long without a word of how it goes, and we talk to the caller again.
TRANSFER_SILENCE_SECONDS = 10.0
# A person who is being rung (180, 183) is no silence; a carrier rings for so long.
RINGING_LIMIT_SECONDS = 60.0


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


class Call:
    """The states of one call. Feed it events in the order they happened."""

    def __init__(self) -> None:
        self.state = State.IDLE
        self.held = False
        # request_id of the transfer under way.
        self.transferring: int | None = None
        self.ringing = False
        self.attempts = 0
        # Why the call ends; the far end's BYE when nothing else decided it first.
        self.reason = "caller"

    def receive(self, event: Event) -> list[Command]:
        """What to do about `event`, in order; an event that means nothing here does nothing."""
        handler = _TABLE.get((self.state, type(event)))
        return handler(self, event) if handler else []

    # Each handler is one row, or a few, of _TABLE.

    def _invited(self, event: events.Invited) -> list[Command]:
        if event.refusal is not None:
            self.state = State.CLOSED
            return [commands.Refuse(503, event.refusal)]
        self.state = State.ADMITTING
        return [commands.AskAdmission()]

    def _admitted(self, event: events.Admitted) -> list[Command]:
        self.state = State.OPENING
        return [commands.OpenRecord()]

    def _refused(self, event: events.Refused) -> list[Command]:
        self.state = State.CLOSED
        return [commands.Refuse(503, event.reason, event.retry_after_seconds)]

    def _record_failed(self, event: events.RecordFailed) -> list[Command]:
        self.state = State.CLOSED
        return [commands.Refuse(503, "spool")]

    def _record_opened(self, event: events.RecordOpened) -> list[Command]:
        self.state = State.ANSWERING
        return [commands.Answer()]

    def _record_too_late(self, event: events.RecordOpened) -> list[Command]:
        # The caller cancelled, or the drain ended, while the record was being written.
        return [commands.DiscardRecord()]

    def _answer_failed(self, event: events.AnswerFailed) -> list[Command]:
        self.state = State.CLOSED
        return [commands.DiscardRecord()]

    def _drained(self, event: events.DrainDeadline) -> list[Command]:
        # Not answered yet, so this is a refusal; a record being written is discarded when it is there.
        self.state = State.CLOSED
        return [commands.Refuse(503, "drained")]

    def _cancelled(self, event: events.Disconnected) -> list[Command]:
        self.state = State.CLOSED
        return []

    def _not_confirmed(self, event: events.Disconnected) -> list[Command]:
        # Without a 200 OK it was a CANCEL that came first, or an offer the stack could not answer (488).
        self.state = State.CLOSED
        return [commands.CloseRecord("no_ack")] if event.answered else [commands.DiscardRecord()]

    def _confirmed(self, event: events.Confirmed) -> list[Command]:
        self.state = State.ATTACHED
        self.attempts = 1
        return [commands.Attach(resume=False, attempt=1)]

    def _stream_lost(self, event: events.StreamLost) -> list[Command]:
        if self.attempts >= MAX_ATTEMPTS:
            return self._goodbye("pipeline_lost")
        self.state = State.REATTACHING
        self.attempts += 1
        return [
            commands.Play(Phrase.APOLOGY),
            commands.StartTimer(Timer.REATTACH),
            commands.Attach(resume=True, attempt=self.attempts),
        ]

    def _reattached(self, event: events.StreamUp) -> list[Command]:
        self.state = State.ATTACHED
        return [commands.StopTimer(Timer.REATTACH), *self._stream_up(event)]

    def _stream_up(self, event: events.StreamUp) -> list[Command]:
        return [commands.SendHold(True)] if self.held else []

    def _hold_early(self, event: events.HoldChanged) -> list[Command]:
        # Told once the pipeline has the call.
        self.held = event.held
        return []

    def _goodbye(self, reason: str) -> list[Command]:
        self.state = State.CLOSING
        self.reason = reason
        return [
            commands.StopTimer(Timer.REATTACH),
            commands.Detach(),
            commands.Play(Phrase.GOODBYE),
            commands.AwaitPlayout(),
            commands.StartTimer(Timer.PLAYOUT),
        ]

    def _digit(self, event: events.DigitPressed) -> list[Command]:
        return [commands.SendDigit(event.digit, event.duration_ms)]

    def _hold(self, event: events.HoldChanged) -> list[Command]:
        if event.held == self.held:
            return []
        self.held = event.held
        return [commands.SendHold(event.held)]

    def _hang_up_asked(self, event: events.HangUpAsked) -> list[Command]:
        self.reason = event.reason or "pipeline"
        self.state = State.CLOSING
        if event.after_playout and not self.held:
            return [commands.AwaitPlayout(), commands.StartTimer(Timer.PLAYOUT)]
        return [commands.HangUp()]

    def _hang_up_now(self, reason: str) -> list[Command]:
        self.reason = reason
        self.state = State.CLOSING
        return [commands.HangUp()]

    def _timer_fired(self, event: events.TimerFired) -> list[Command]:
        if event.timer is Timer.REATTACH and self.state is State.REATTACHING:
            return self._goodbye("pipeline_lost")
        if event.timer is Timer.PLAYOUT and self.state is State.CLOSING:
            return [commands.HangUp()]
        if event.timer in (Timer.TRANSFER, Timer.RINGING) and self.transferring is not None:
            return self._transfer_status(events.TransferStatus(408, final=True))
        return []

    def _transfer_asked(self, event: events.TransferAsked) -> list[Command]:
        if self.transferring is not None:
            return [commands.SendTransferProgress(event.request_id, 491, final=True)]
        self.transferring = event.request_id
        self.ringing = False
        return [commands.SendRefer(event.target, event.user_to_user), commands.StartTimer(Timer.TRANSFER)]

    def _transfer_status(self, event: events.TransferStatus) -> list[Command]:
        if self.transferring is None:
            return []
        # A failure is final whatever state its NOTIFY gives the subscription.
        final = event.final or event.sip_status >= 300
        progress = commands.SendTransferProgress(self.transferring, event.sip_status, final)
        if not final:
            return [progress, *self._transfer_goes_on(event.sip_status)]
        self.transferring = None
        ended: list[Command] = [
            progress,
            commands.StopTimer(Timer.TRANSFER),
            commands.StopTimer(Timer.RINGING),
        ]
        if 200 <= event.sip_status < 300:
            # The transferor ends its own dialog once the target has answered (RFC 5589 section 6.1).
            ended += self._hang_up_now("transferred")
        return ended

    def _transfer_goes_on(self, sip_status: int) -> list[Command]:
        if self.ringing:
            return []
        if 180 <= sip_status < 200:
            self.ringing = True
            return [commands.StopTimer(Timer.TRANSFER), commands.StartTimer(Timer.RINGING)]
        return [commands.StartTimer(Timer.TRANSFER)]

    def _playout_done(self, event: events.PlayoutDone) -> list[Command]:
        return [commands.HangUp()]

    def _ended(self, event: events.Disconnected) -> list[Command]:
        self.state = State.CLOSED
        return [commands.Detach(), commands.CloseRecord(self.reason)]


_Handler = Callable[[Call, Event], list[Command]]
_LIVE = (State.ATTACHED, State.REATTACHING)


def _table() -> dict[tuple[State, type[Event]], _Handler]:
    table: dict[tuple[State, type[Event]], Callable[..., list[Command]]] = {
        (State.IDLE, events.Invited): Call._invited,
        (State.ADMITTING, events.Admitted): Call._admitted,
        (State.ADMITTING, events.Refused): Call._refused,
        (State.ADMITTING, events.DrainDeadline): Call._drained,
        (State.ADMITTING, events.Disconnected): Call._cancelled,
        (State.OPENING, events.RecordOpened): Call._record_opened,
        (State.OPENING, events.RecordFailed): Call._record_failed,
        (State.OPENING, events.DrainDeadline): Call._drained,
        (State.OPENING, events.Disconnected): Call._cancelled,
        (State.ANSWERING, events.Confirmed): Call._confirmed,
        (State.ANSWERING, events.AnswerFailed): Call._answer_failed,
        (State.ANSWERING, events.Disconnected): Call._not_confirmed,
        (State.ANSWERING, events.DrainDeadline): lambda call, event: call._hang_up_now("drained"),
        (State.ANSWERING, events.HoldChanged): Call._hold_early,
        (State.ATTACHED, events.StreamUp): Call._stream_up,
        (State.ATTACHED, events.StreamLost): Call._stream_lost,
        (State.ATTACHED, events.DigitPressed): Call._digit,
        (State.ATTACHED, events.HangUpAsked): Call._hang_up_asked,
        (State.ATTACHED, events.TransferAsked): Call._transfer_asked,
        (State.REATTACHING, events.StreamUp): Call._reattached,
        (State.REATTACHING, events.StreamLost): Call._stream_lost,
        (State.CLOSING, events.PlayoutDone): Call._playout_done,
        (State.CLOSING, events.RtpSilent): Call._playout_done,
        (State.CLOSING, events.DrainDeadline): Call._playout_done,
        (State.CLOSING, events.TimerFired): Call._timer_fired,
        (State.CLOSING, events.Disconnected): Call._ended,
        (State.CLOSED, events.RecordOpened): Call._record_too_late,
    }
    for state in _LIVE:
        table[state, events.HoldChanged] = Call._hold
        table[state, events.TransferStatus] = Call._transfer_status
        table[state, events.TimerFired] = Call._timer_fired
        table[state, events.Disconnected] = Call._ended
        table[state, events.RtpSilent] = lambda call, event: call._hang_up_now("rtp_silence")
        table[state, events.DrainDeadline] = lambda call, event: call._hang_up_now("drained")
    return table


_TABLE = _table()
