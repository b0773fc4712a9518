"""The lane: its live calls and what they share, between the SIP stack's reports and the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tellerline.connector import events, spool
from tellerline.connector.call import State
from tellerline.connector.call_recording import Recordings
from tellerline.connector.commands import Phrase
from tellerline.connector.dtmf import SecretSink
from tellerline.connector.live_call import LiveCall
from tellerline.connector.media import Handover, Seat
from tellerline.connector.sip import SipStack
from tellerline.connector.sip_listener import Invitation, Negotiated
from tellerline.connector.stream import Pipeline
from tellerline.errors import SpoolError
from tellerline.monitoring import metrics
from tellerline.settings import ConnectorSettings

log = logging.getLogger(__name__)

_RETRY_RECORD_SECONDS = 1.0


class Lane:
    """Every live call of this connector, and what they share (SipListener of the stack)."""

    def __init__(
        self,
        settings: ConnectorSettings,
        pipeline: Pipeline,
        phrases: dict[str, dict[Phrase, bytes]],
        loop: asyncio.AbstractEventLoop,
        sink: SecretSink | None = None,
        recordings: Recordings | None = None,
    ) -> None:
        self.settings = settings
        self.pipeline = pipeline
        # By the number called; "" for every other.
        self._phrases = phrases
        self.loop = loop
        # None: no banking service, so dark input is refused at once.
        self.sink = sink
        # None: nothing is recorded.
        self.recordings = recordings
        self.spool = spool.Spool(settings.spool)
        self.calls: dict[int, LiveCall] = {}
        self.empty = asyncio.Event()
        self.empty.set()
        # Why a new INVITE is refused now; None: it is taken.
        self.refusal: str | None = "starting"
        handover = Handover(loop, self._heard)
        self.seats = [Seat(index, handover) for index in range(settings.sip.lane_calls)]
        self.sip = SipStack(settings.sip, self.seats, self, loop)
        self._seated: dict[int, LiveCall] = {}
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._tasks: set[asyncio.Task[None]] = set()
        self._records_late = 0
        # Calls with a record that may still turn out not to have been answered: nobody is told of them.
        self.untold: set[str] = set()
        # Told when there is news of a record for others.
        self.on_record: Callable[[], None] = lambda: None

    def phrase(self, phrase: Phrase, called: str) -> bytes:
        """A phrase as callers of the number `called` are to hear it."""
        return self._phrases.get(called, self._phrases[""])[phrase]

    # ---- SipListener

    def invited(self, invitation: Invitation) -> None:
        live = LiveCall(self, invitation)
        self.calls[invitation.call] = live
        self._count_calls()
        live.receive(events.Invited(self.refusal))

    def media_changed(self, call: int, negotiated: Negotiated, held: bool) -> None:
        if call in self.calls:
            self.calls[call].media_changed(negotiated, held)

    def confirmed(self, call: int, at_ns: int) -> None:
        if call in self.calls:
            self.count_invite(200)
            self.calls[call].confirmed(at_ns)

    def answer_failed(self, call: int) -> None:
        if call in self.calls:
            self.calls[call].receive(events.AnswerFailed())

    def digit(self, call: int, digit: str, duration_ms: int) -> None:
        try:
            if call in self.calls:
                self.calls[call].pressed(digit, duration_ms)
        except Exception as error:
            # The loop would log this callback with its arguments, and one of them is the key.
            log.error("a key was lost: %s", type(error).__name__)

    def rtp_silent(self, call: int) -> None:
        if call in self.calls:
            self.calls[call].receive(events.RtpSilent())

    def transfer_status(self, call: int, sip_status: int, final: bool) -> None:
        if call in self.calls:
            self.calls[call].transferred(sip_status, final)

    def refused_below(self, sip_status: int) -> None:
        self.count_invite(sip_status)

    def disconnected(self, call: int, sip_status: int, answered: bool) -> None:
        live = self.calls.pop(call, None)
        if live is None:
            return
        if live.states.state not in (State.ATTACHED, State.REATTACHING, State.CLOSING, State.CLOSED):
            self.count_invite(sip_status)
        seat = self.seats[live.invitation.seat]
        if self._seated.get(seat.index) is live:
            seat.playout = None
            del self._seated[seat.index]
        live.receive(events.Disconnected(answered))
        live.forget()
        self._count_calls()

    # ---- for the calls

    def take_seat(self, live: LiveCall) -> None:
        """Gives the call its place in the media clock."""
        self._seated[live.invitation.seat] = live
        self.seats[live.invitation.seat].playout = live.playout

    def count_invite(self, sip_status: int) -> None:
        """Counts an INVITE by its final answer."""
        metrics.CONNECTOR_INVITES.labels(self.settings.lane, str(sip_status)).inc()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` beside the loop's callers; an exception is logged."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def on_disk(self, work: Callable[..., Any], *details: Any) -> Any:
        """Runs `work` on the spool's thread: records are written in the order they were asked for."""
        return await self.loop.run_in_executor(self._disk, work, *details)

    async def keep_trying(self, work: Callable[[], None]) -> None:
        """Changes a record, again every second until the disk takes it. The lane takes no calls meanwhile."""
        late = False
        while True:
            try:
                await self.on_disk(work)
                break
            except SpoolError as error:
                if not late:
                    log.error("%s; trying again every second", error)
                    self._records_late += 1
                    late = True
                await asyncio.sleep(_RETRY_RECORD_SECONDS)
        self._records_late -= late

    # ---- for the server

    def confirmed_ids(self) -> list[str]:
        """The ids of the answered calls: those this lane vouches for."""
        return [live.call_id for live in self.calls.values() if live.answered_at is not None]

    async def spool_trouble(self) -> str | None:
        """Why calls cannot be recorded now, or None."""
        if self._records_late:
            return "spool: records wait for the disk"
        trouble: str | None = await self.on_disk(self.spool.trouble)
        return trouble

    def end_all(self) -> None:
        """Ends every call: the drain's deadline has come."""
        for live in list(self.calls.values()):
            live.receive(events.DrainDeadline())

    async def finish_tasks(self, seconds: float) -> None:
        """Waits for records being written, at most `seconds`; then the next start finds them open."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in list(self._tasks):
            task.cancel()

    def close(self) -> None:
        """Ends the threads, once nothing is written any more."""
        self._disk.shutdown(wait=False)
        if self.recordings is not None:
            self.recordings.close()

    # ---- own

    def _heard(self, seat: int, pcm: bytes, played: bytes, captured_ns: int) -> None:
        live = self._seated.get(seat)
        if live is not None:
            live.heard(pcm, played, captured_ns)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a call's task failed", exc_info=task.exception())

    def _count_calls(self) -> None:
        metrics.CONNECTOR_CALLS.labels(self.settings.lane).set(len(self.calls))
        if self.calls:
            self.empty.clear()
        else:
            self.empty.set()
