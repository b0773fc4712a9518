"""What the caller does in a call, step by step, run once each 20 ms tick by the media thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal

from tellerline.robot.media import CallMedia
from tellerline.robot.trace import Line, Mark

Ticks = Generator[None, None, None]
# Called with what just happened: "said", "bot_started", "bot_quiet", "digits", … and its text.
Tell = Callable[[str, int, str], None]
# Asks the SIP side for "hang_up", "hold", "unhold" or "info:<digit>".
Ask = Callable[[str], None]


@dataclass(frozen=True)
class Say:
    """Speaks a line once the bot is quiet, or `interrupt_after_ms` into the bot's next speech."""

    turn: int
    line: Line
    interrupt_after_ms: int | None = None


@dataclass(frozen=True)
class Press:
    """Keys on the pad, by RFC 4733 or SIP INFO. `shown` is what may be printed of them."""

    turn: int
    keys: str
    shown: str
    method: Literal["rfc4733", "info"] = "rfc4733"


@dataclass(frozen=True)
class Pause:
    """Says nothing for a while."""

    turn: int
    ms: int


@dataclass(frozen=True)
class Hold:
    """Puts the other side on hold by re-INVITE, and takes it back after `ms`."""

    turn: int
    ms: int


@dataclass(frozen=True)
class AwaitAnswer:
    """Waits until the bot is heard, then until it has been quiet for `quiet_ms`."""

    turn: int
    timeout_ms: int = 10_000
    quiet_ms: int = 900
    # False: return as soon as the answer starts (an interruption comes next).
    to_end: bool = True


@dataclass(frozen=True)
class AwaitEnd:
    """Waits until the bot hangs up."""

    turn: int
    timeout_ms: int


@dataclass(frozen=True)
class HangUp:
    """The caller hangs up."""

    turn: int


Step = Say | Press | Pause | Hold | AwaitAnswer | AwaitEnd | HangUp

# A bot that never stops talking is spoken to all the same after this long.
_LONGEST_ANSWER_MS = 45_000
_LONGEST_PAUSE_MS = 1_000


def _ms_since(then_ns: int) -> float:
    return (time.monotonic_ns() - then_ns) / 1e6


class Script:
    """Runs steps on a call."""

    def __init__(self, call: CallMedia, steps: list[Step], tell: Tell, ask: Ask) -> None:
        self._call = call
        self._steps = steps
        self._tell = tell
        self._ask = ask

    def run(self) -> Ticks:
        """One `next` a tick; ends when the call or the steps do. Hangs up after the last step."""
        for step in self._steps:
            for _ in self._one(step):
                if self._call.ended:
                    return
                yield
        if not self._call.ended:
            self._ask("hang_up")

    def _one(self, step: Step) -> Ticks:
        if isinstance(step, Say):
            yield from self._say(step)
        elif isinstance(step, Press):
            yield from self._press(step)
        elif isinstance(step, Pause):
            self._mark("wait", step.turn)
            yield from self._for_ms(step.ms)
        elif isinstance(step, Hold):
            yield from self._hold(step)
        elif isinstance(step, AwaitAnswer):
            yield from self._await_answer(step)
        elif isinstance(step, AwaitEnd):
            yield from self._until_ended(step.timeout_ms)
        else:
            self._mark("hang_up", step.turn)
            self._ask("hang_up")
            yield from self._until_ended(5_000)

    def _mark(self, kind: str, turn: int, said: str = "") -> Mark:
        mark = Mark(turn=turn, kind=kind, started_ns=time.monotonic_ns(), said=said)
        self._call.trace.marks.append(mark)
        return mark

    def _for_ms(self, ms: float) -> Ticks:
        started = time.monotonic_ns()
        while _ms_since(started) < ms:
            yield

    def _until_ended(self, timeout_ms: float) -> Ticks:
        yield from self._for_ms(timeout_ms)

    def _say(self, step: Say) -> Ticks:
        call, kind = self._call, "say"
        missed = False
        if step.interrupt_after_ms is not None:
            kind = "interrupt"
            # `answer_ns` still holds the start of the speech that the step before waited for.
            while call.answer_ns and _ms_since(call.answer_ns) < step.interrupt_after_ms:
                yield
            # Between two phrases there is nothing to interrupt; the next one begins within a second.
            while call.answer_ns and 60 < _ms_since(call.last_audible_ns) < _LONGEST_PAUSE_MS:
                yield
            missed = not call.answer_ns or _ms_since(call.last_audible_ns) >= _LONGEST_PAUSE_MS
        mark = self._mark(kind, step.turn, step.line.said)
        mark.missed = missed
        self._tell(kind, step.turn, step.line.said)
        call.speak(mark, step.line)
        while call.busy:
            yield
        call.expect_answer()

    def _press(self, step: Press) -> Ticks:
        mark = self._mark("digits", step.turn, step.shown)
        self._tell("digits", step.turn, step.shown)
        for key in step.keys:
            if step.method == "info":
                self._ask(f"info:{key}")
                mark.speech_ended_ns = time.monotonic_ns()
                mark.speech_started_ns = mark.speech_started_ns or mark.speech_ended_ns
                self._call.expect_answer()
                yield from self._for_ms(250)
            else:
                self._call.press(mark, key)
        while self._call.busy:
            yield

    def _hold(self, step: Hold) -> Ticks:
        self._mark("hold", step.turn)
        self._tell("hold", step.turn, "")
        self._ask("hold")
        yield from self._for_ms(step.ms)
        self._ask("unhold")
        self._mark("unhold", step.turn)
        self._tell("unhold", step.turn, "")
        yield from self._for_ms(300)
        self._call.expect_answer()

    def _await_answer(self, step: AwaitAnswer) -> Ticks:
        call, started = self._call, time.monotonic_ns()
        while not call.answer_ns:
            if _ms_since(started) > step.timeout_ms:
                self._tell("no_answer", step.turn, "")
                return
            yield
        self._tell("bot_started", step.turn, "")
        if not step.to_end:
            return
        while _ms_since(call.last_audible_ns) < step.quiet_ms:
            if _ms_since(call.answer_ns) > _LONGEST_ANSWER_MS:
                break
            yield
        self._tell("bot_quiet", step.turn, "")
