"""Drives one call's keypad: time limits, the check at banking, and a result that outlives a pipeline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from tellerline.connector.dtmf import DarkRequest, Destination, Keypad, Outcome, SecretSink, Typist
from tellerline.rpc import conversation_pb2 as pb

log = logging.getLogger(__name__)

# How often a waiting input looks at the clock.
_LOOK_SECONDS = 0.2
_TIMEOUT_SECONDS_MIN = 1.0


class Keys:
    """One call's keys. Lives on the loop.

    `playing()` says whether the caller is still being told something. The time a request gives is counted
    from the end of its prompt and again from each key: a caller who listens, or types slowly, is not late.
    `report(result)` hands a result up and is False while no pipeline is attached; the result is then
    kept for the next one.
    """

    def __init__(
        self,
        typist: Typist,
        sink: SecretSink | None,
        playing: Callable[[], bool],
        report: Callable[[pb.DarkInputResult], bool],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._typist = typist
        self._sink = sink
        self._playing = playing
        self._report = report
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._keypad = Keypad()
        self._touched_at = 0.0
        self._look: asyncio.TimerHandle | None = None
        self._checking: int | None = None
        self._unreported: pb.DarkInputResult | None = None
        self._over = False

    @property
    def dark(self) -> bool:
        """Whether keys are being collected: the caller's sound is nobody's business meanwhile."""
        return self._keypad.dark is not None

    @property
    def request_id(self) -> int:
        """The dark input whose result is still to come, or 0."""
        if self._keypad.dark is not None:
            return self._keypad.dark.request.request_id
        if self._checking is not None:
            return self._checking
        return self._unreported.request_id if self._unreported is not None else 0

    def press(self, digit: str) -> Destination:
        """Takes a key; the caller of this passes up those of a menu and no other."""
        destination = self._keypad.press(digit)
        self._touched_at = self._loop.time()
        if destination is Destination.COMPLETED:
            self._check()
        elif destination is Destination.CANCELLED:
            self._end(Outcome.CANCELLED)
        return destination

    def open_menu(self) -> None:
        """A menu was declared; dark input under way is cancelled by it."""
        self._end(Outcome.CANCELLED)
        self._keypad.open_menu()

    def request(self, message: pb.DarkInputRequest, possible: bool) -> None:
        """Dark input was asked for, or its end. `possible` is false where keys do not arrive as events."""
        if message.cancel:
            if message.request_id in (0, self.request_id):
                self._end(Outcome.CANCELLED)
            return
        self._end(Outcome.CANCELLED)
        if not possible or self._sink is None:
            self._keypad.close_menu()
            self._tell(message.request_id, Outcome.UNAVAILABLE)
            return
        request = DarkRequest(
            message.request_id, message.purpose, message.min_digits, message.max_digits, message.timeout_ms
        )
        self._touched_at = self._loop.time()
        if self._keypad.begin(request):
            self._check()
        else:
            self._watch(request)

    def pipeline_lost(self) -> None:
        """Dark input goes on without a pipeline; a menu does not, nobody knows what it was."""
        self._keypad.close_menu()

    def pipeline_up(self) -> None:
        """Tells the next pipeline what became of the input the last one asked for."""
        result, self._unreported = self._unreported, None
        if result is not None:
            self._tell(result.request_id, result.outcome)

    def forget(self) -> None:
        """The call is over: nothing typed is kept, nothing is told any more."""
        self._over = True
        self._stop_watching()
        self._keypad.wipe()

    def _watch(self, request: DarkRequest) -> None:
        limit = max(request.timeout_ms / 1000, _TIMEOUT_SECONDS_MIN)

        def look() -> None:
            now = self._loop.time()
            if self._playing():
                self._touched_at = now
            if now - self._touched_at >= limit:
                self._end(Outcome.TIMED_OUT)
            else:
                self._look = self._loop.call_later(_LOOK_SECONDS, look)

        self._stop_watching()
        self._look = self._loop.call_later(_LOOK_SECONDS, look)

    def _stop_watching(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _end(self, outcome: pb.DarkInputResult.Outcome) -> None:
        """Ends what is being collected, unchecked."""
        self._stop_watching()
        dark = self._keypad.end()
        if dark is not None:
            dark.wipe()
            self._tell(dark.request.request_id, outcome)

    def _check(self) -> None:
        self._stop_watching()
        dark, sink = self._keypad.end(), self._sink
        assert dark is not None and sink is not None
        request_id = self._checking = dark.request.request_id

        async def submit() -> None:
            try:
                outcome = await dark.submit(self._typist, sink)
            except Exception as error:
                # Its text might quote the request.
                log.error("call %s: dark input not checked (%s)", self._typist.call_id, type(error).__name__)
                outcome = Outcome.UNAVAILABLE
            if self._checking == request_id:
                self._checking = None
            self._tell(request_id, outcome)

        self._spawn(submit())

    def _tell(self, request_id: int, outcome: pb.DarkInputResult.Outcome) -> None:
        result = pb.DarkInputResult(request_id=request_id, outcome=outcome)
        if not self._over and not self._report(result):
            self._unreported = result
