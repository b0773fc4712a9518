"""One live call: carries out what `call.Call` decides, with SIP stack, pipeline, media and spool."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tellerline.connector import call as calls
from tellerline.connector import commands, events, spool
from tellerline.connector.call_recording import CallRecording
from tellerline.connector.commands import Phrase
from tellerline.connector.dark_input import Keys
from tellerline.connector.dtmf import Destination, Outcome, Typist
from tellerline.connector.events import Timer
from tellerline.connector.media import RATE_HZ, SILENCE, TICK_SAMPLES, PlayOut
from tellerline.connector.sip_listener import Invitation, Negotiated
from tellerline.connector.stream import Stream
from tellerline.errors import SpoolError
from tellerline.monitoring import metrics
from tellerline.rpc import conversation_pb2 as pb

if TYPE_CHECKING:
    from tellerline.connector.lane import Lane

log = logging.getLogger(__name__)

# Around a key that is nobody's business the caller's sound is silence: a telephone may send the tone as sound
# as well, from before the event to after it.
_HUSH_SECONDS = 0.3
_HUSH_TICKS = int(_HUSH_SECONDS * RATE_HZ) // TICK_SAMPLES


class LiveCall:
    """One SIP dialog and everything that belongs to it. Lives on the loop."""

    def __init__(self, lane: Lane, invitation: Invitation) -> None:
        self.call_id = uuid.uuid4().hex
        self.invitation = invitation
        self.states = calls.Call()
        self.playout = PlayOut()
        self.negotiated = Negotiated("", False)
        self.answered_at: float | None = None
        self.stream: Stream | None = None
        self.record = spool.CallRecord(
            call_id=self.call_id,
            sip_call_id=invitation.sip_call_id,
            lane=lane.settings.lane,
            caller=invitation.caller,
            called=invitation.called,
            opened_at="",
        )
        self._lane = lane
        self._answered_ns = 0
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._heard_samples = 0
        # The last turn of a pipeline that died; the next one's Attach carries it.
        self._turn_id = 0
        self._awaiting_playout = False
        self._hush_ticks = 0
        self._recording: CallRecording | None = None
        self._keys = Keys(
            Typist(self.call_id, invitation.caller),
            lane.sink,
            lambda: not self.playout.drained,
            self._report_dark_result,
            lane.spawn,
        )

    def receive(self, event: events.Event) -> None:
        """Feeds the table of states and does what it says."""
        for command in self.states.receive(event):
            self._DO[type(command)](self, command)

    # ---- media, 50 times a second

    def heard(self, pcm: bytes, played: bytes, captured_ns: int) -> None:
        """20 ms from the caller: sent up, and the clock of what waits for play-out."""
        # Music on hold is not the caller, and a keypad tone in the audio would be a digit.
        secret = self.states.held or self._keys.dark or self._hush_ticks > 0
        self._hush_ticks = max(0, self._hush_ticks - 1)
        stream = self.stream
        if stream is not None and stream.open:
            stream.send(
                audio=pb.CallerAudio(
                    pcm=SILENCE if secret else pcm,
                    first_sample=self._heard_samples,
                    played_samples=self.playout.played_samples,
                    captured_ns=captured_ns,
                )
            )
            self._heard_samples += TICK_SAMPLES
        if self._recording is not None:
            self._recording.recorder.add(pcm, played, gap=secret)
        if self._awaiting_playout and self.playout.drained:
            self._awaiting_playout = False
            self.receive(events.PlayoutDone())

    # ---- from the SIP stack

    def confirmed(self, at_ns: int) -> None:
        """The ACK came."""
        self.answered_at = time.monotonic()
        self._answered_ns = at_ns
        self._lane.untold.discard(self.call_id)
        self._lane.on_record()
        self.receive(events.Confirmed())

    def media_changed(self, negotiated: Negotiated, held: bool) -> None:
        """Offer and answer were exchanged, at the start or again."""
        if negotiated.codec:
            self.negotiated = negotiated
        self.playout.hold(held)
        self.receive(events.HoldChanged(held))

    def pressed(self, digit: str, duration_ms: int) -> None:
        """A key: up where a menu is open, else nobody but banking sees it."""
        self.record = replace(self.record, digits=self.record.digits + 1)
        if self._keys.press(digit) is Destination.MENU:
            self.receive(events.DigitPressed(digit, duration_ms))
            return
        self._hush_ticks = _HUSH_TICKS
        if self._recording is not None:
            self._recording.recorder.blank(_HUSH_SECONDS)

    def transferred(self, sip_status: int, final: bool) -> None:
        """News of the REFER."""
        self.record = replace(self.record, transfer_status=sip_status)
        self.receive(events.TransferStatus(sip_status, final))

    # ---- from the pipeline (StreamListener)

    def stream_up(self) -> None:
        """The pipeline has the call."""
        if self.states.attempts > 1:
            metrics.CONNECTOR_REATTACHED.labels(self._lane.settings.lane, "attached").inc()
        self.receive(events.StreamUp())
        self._keys.pipeline_up()

    def stream_lost(self) -> None:
        """The pipeline died."""
        self._keys.pipeline_lost()
        if self.stream is not None:
            self._turn_id = self.stream.turn_id
        self.stream = None
        self.receive(events.StreamLost())

    def commanded(self, message: pb.ToConnector) -> None:
        """A message down, other than Attached and Heartbeat."""
        command = message.WhichOneof("command")
        if command == "audio":
            self.playout.push(message.audio.pcm)
        elif command == "pause":
            self.playout.pause()
        elif command == "resume":
            self.playout.resume()
        elif command == "flush":
            self.playout.flush()
        elif command == "menu_input":
            self._keys.open_menu()
        elif command == "dark_input":
            self._keys.request(message.dark_input, possible=self.negotiated.telephone_event)
        elif command == "recording":
            self._record(message.recording.wanted)
        elif command == "transfer":
            self._transfer(message.transfer)
        elif command == "hang_up":
            self.receive(events.HangUpAsked(message.hang_up.reason, message.hang_up.after_playout))

    def _report_dark_result(self, result: pb.DarkInputResult) -> bool:
        if self.stream is None or self.states.state is calls.State.REATTACHING:
            return False
        outcome = Outcome.Name(result.outcome).lower()
        metrics.CONNECTOR_DARK_INPUTS.labels(self._lane.settings.lane, outcome).inc()
        self._send(dark_input_result=result)
        return True

    def _transfer(self, transfer: pb.Transfer) -> None:
        if transfer.target not in self._lane.settings.transfer_targets:
            log.error("call %s: a transfer was refused: its target is not in transfer_targets", self.call_id)
            self._send_transfer_progress(commands.SendTransferProgress(transfer.request_id, 403, final=True))
            return
        self.receive(events.TransferAsked(transfer.request_id, transfer.target, transfer.user_to_user))

    # ---- recording

    def _record(self, wanted: bool) -> None:
        recordings = self._lane.recordings
        if self._recording is not None:
            self._recording.recorder.paused = not wanted
        elif wanted and recordings is None:
            log.warning("call %s: recording was asked for, and this lane has no site key", self.call_id)
        elif wanted and recordings is not None:
            self._recording = started = recordings.begin(self.call_id)
            self.record = replace(self.record, recording=started.about)

            async def permit() -> None:
                await self._lane.keep_trying(self._write_record)
                self._lane.on_record()
                started.permit()

            self._lane.spawn(permit())

    def _write_record(self) -> None:
        # The newest, so that a write that had to wait for the disk never puts an older one in its place.
        self._lane.spool.write(self.record)

    # ---- commands

    def _send(self, **event: Any) -> None:
        if self.stream is not None:
            self.stream.send(**event)

    def _ask_admission(self, command: commands.AskAdmission) -> None:
        async def ask() -> None:
            reply = await self._lane.pipeline.admit(self.call_id)
            if reply.admitted:
                self.receive(events.Admitted())
            else:
                self.receive(events.Refused(reply.reason, reply.retry_after_seconds))

        self._lane.spawn(ask())

    def _refuse(self, command: commands.Refuse) -> None:
        log.info("call %s refused with %d: %s", self.call_id, command.sip_status, command.reason)
        self._lane.count_invite(command.sip_status)
        self._lane.sip.refuse(self.invitation.call, command.sip_status, command.retry_after_seconds)

    def _open_record(self, command: commands.OpenRecord) -> None:
        self.record = replace(self.record, opened_at=spool.now())
        self._lane.untold.add(self.call_id)

        async def write() -> None:
            try:
                await self._lane.on_disk(self._lane.spool.write, self.record)
            except SpoolError as error:
                log.error("call %s cannot be recorded, so it is not answered: %s", self.call_id, error)
                self._lane.untold.discard(self.call_id)
                self.receive(events.RecordFailed())
            else:
                self.receive(events.RecordOpened())

        self._lane.spawn(write())

    def _discard_record(self, command: commands.DiscardRecord) -> None:
        async def discard() -> None:
            await self._lane.keep_trying(lambda: self._lane.spool.discard(self.call_id))
            self._lane.untold.discard(self.call_id)

        self._lane.spawn(discard())

    def _close_record(self, command: commands.CloseRecord) -> None:
        talked = time.monotonic() - self.answered_at if self.answered_at is not None else 0.0
        closed = replace(
            self.record,
            state="closed",
            closed_at=spool.now(),
            reason=command.reason,
            talk_seconds=round(talked, 3),
            codec=self.negotiated.codec or None,
            attaches=self.states.attempts,
            underrun_ticks=self.playout.underrun_ticks,
        )
        lane = self._lane.settings.lane
        metrics.CONNECTOR_ENDED.labels(lane, command.reason).inc()
        metrics.CONNECTOR_RTP_LATE.labels(lane).inc(self.playout.underrun_ticks)
        log.info("call %s ended: %s after %.1f s", self.call_id, command.reason, talked)

        async def write() -> None:
            if self._recording is not None:
                self.record = replace(closed, recording=await self._recording.finish())
            else:
                self.record = closed
            await self._lane.keep_trying(self._write_record)
            self._lane.untold.discard(self.call_id)
            self._lane.on_record()

        self._lane.spawn(write())

    def _answer(self, command: commands.Answer) -> None:
        self._lane.take_seat(self)
        self._lane.sip.answer(self.invitation.call)

    def _attach(self, command: commands.Attach) -> None:
        self._heard_samples = 0
        # The stack can tell of DTMF before the ACK when it was negotiated in the INVITE.
        attach = pb.Attach(
            resume=command.resume,
            attempt=command.attempt,
            sip_call_id=self.invitation.sip_call_id,
            caller=self.invitation.caller,
            called=self.invitation.called,
            telephone_event=self.negotiated.telephone_event,
            answered_ns=self._answered_ns,
            dark_request_id=self._keys.request_id,
            recording=self._recording is not None and not self._recording.recorder.paused,
        )
        self.playout.restart_count()
        message = pb.FromConnector(call_id=self.call_id, turn_id=self._turn_id, attach=attach)
        self.stream = self._lane.pipeline.converse(message, self)

    def _detach(self, command: commands.Detach) -> None:
        self._keys.forget()
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    def _play(self, command: commands.Play) -> None:
        if command.phrase is Phrase.GOODBYE:
            metrics.CONNECTOR_REATTACHED.labels(self._lane.settings.lane, "given_up").inc()
        self.playout.play_phrase(self._lane.phrase(command.phrase, self.invitation.called))

    def _await_playout(self, command: commands.AwaitPlayout) -> None:
        self._awaiting_playout = True

    def _send_digit(self, command: commands.SendDigit) -> None:
        self._send(
            digit=pb.Digit(
                digit=command.digit, duration_ms=command.duration_ms, at_sample=self._heard_samples
            )
        )

    def _send_hold(self, command: commands.SendHold) -> None:
        self._send(hold=pb.Hold(held=command.held))

    def _send_refer(self, command: commands.SendRefer) -> None:
        self._lane.sip.refer(self.invitation.call, command.target, command.user_to_user)

    def _send_transfer_progress(self, command: commands.SendTransferProgress) -> None:
        self._send(
            transfer_progress=pb.TransferProgress(
                request_id=command.request_id, sip_status=command.sip_status, final=command.final
            )
        )

    def _hang_up(self, command: commands.HangUp) -> None:
        self._lane.sip.hang_up(self.invitation.call)

    def _start_timer(self, command: commands.StartTimer) -> None:
        seconds = {
            Timer.REATTACH: self._lane.settings.reattach_seconds,
            Timer.PLAYOUT: calls.PLAYOUT_LIMIT_SECONDS,
            Timer.TRANSFER: calls.TRANSFER_SILENCE_SECONDS,
            Timer.RINGING: calls.RINGING_LIMIT_SECONDS,
        }[command.timer]
        self._forget_timer(command.timer)
        self._timers[command.timer] = self._lane.loop.call_later(
            seconds, lambda: self.receive(events.TimerFired(command.timer))
        )

    def _stop_timer(self, command: commands.StopTimer) -> None:
        self._forget_timer(command.timer)

    def _forget_timer(self, timer: Timer) -> None:
        if timer in self._timers:
            self._timers.pop(timer).cancel()

    def forget(self) -> None:
        """The call is over: no timer runs on, and nothing that was typed is kept."""
        self._keys.forget()
        for timer in list(self._timers):
            self._forget_timer(timer)

    _DO: dict[type[commands.Command], Callable[..., None]] = {  # noqa: RUF012
        commands.AskAdmission: _ask_admission,
        commands.Refuse: _refuse,
        commands.OpenRecord: _open_record,
        commands.DiscardRecord: _discard_record,
        commands.CloseRecord: _close_record,
        commands.Answer: _answer,
        commands.Attach: _attach,
        commands.Detach: _detach,
        commands.Play: _play,
        commands.AwaitPlayout: _await_playout,
        commands.SendDigit: _send_digit,
        commands.SendHold: _send_hold,
        commands.SendRefer: _send_refer,
        commands.SendTransferProgress: _send_transfer_progress,
        commands.HangUp: _hang_up,
        commands.StartTimer: _start_timer,
        commands.StopTimer: _stop_timer,
    }
