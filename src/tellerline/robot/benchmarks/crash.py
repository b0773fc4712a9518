"""A pipeline that dies or hangs in a call: how long the caller waits for the apology, and what then."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tellerline import stack
from tellerline.robot import measure
from tellerline.robot import scenario as scenarios
from tellerline.robot.benchmarks.bench import Bench, Budget, Result
from tellerline.robot.caller import Listener
from tellerline.robot.conversation import Conversation
from tellerline.robot.process import Event

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_TIMES_EACH = 5
_BUDGET_MS = 1500
# What systemd's watchdog would do to a hung process is left out: it wakes up again by itself, after the
# connector has given it up (1.4 s) and before the call is ended for want of it (10 s).
_STOPPED_SECONDS = 4.0
# The next life of a killed pipeline loads its models and renders its phrases, and says "go on".
_RESTART_MS = 9_000
_PIPELINE = "pipeline@cpu-0"
# The record is closed after the BYE has gone out, and fsynced.
_RECORD_SECONDS = 5.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Crash:
    """One call in which the pipeline was taken away."""

    how: str
    # From the signal to the first audible sample after it; None: the caller heard nothing more.
    apology_ms: float | None
    # The longest time without a packet in the whole call, and packets that never came.
    gap_max_ms: float | None
    lost: int
    # The next key was answered in a call the pipeline had twice.
    reattached: bool
    ended_by: str


def crash(bench: Bench) -> Result:
    """SIGKILL and SIGSTOP to the pipeline, several times each, while a call listens."""
    result = Result("crash")
    count = bench.turns or _TIMES_EACH
    crashes: list[Crash] = []
    # No "are you still there?" between the apology and the next key.
    patient = {"limits": {"silence_prompt_seconds": 60.0}}
    # Never the stack somebody else runs here: its calls would die too.
    with bench.own(1, pipeline=patient) as running:
        for how in _SIGNALS:
            for number in range(1, count + 1):
                bench.progress(f"crash: {how} {number} of {count}")
                running.wait_until_ready()
                crashes.append(take_away(bench, result, running, how, _asking(f"{how} {number}")))
                bench.progress(so_far(crashes))
    judge(result, crashes)
    return result


def take_away(
    bench: Bench, result: Result, running: stack.Stack, how: str, chosen: scenarios.Scenario
) -> Crash:
    """One call of `chosen`; its pipeline is killed or stopped once the bot has been heard out first."""
    with taken_away(running, how) as (on_event, taken_ns):
        # A disturbed run is marked, not repeated: the pipeline lives a new life by then.
        run = bench.run(result, [chosen], running.state, repeat=False, listener=Listener(event=on_event))
    talked = run.conversations[0]
    attaches = attaches_of(running.state.lanes[0].spool, talked.trace.sip_call_id)
    return measured(how, talked, taken_ns[0] if taken_ns else 0, attaches)


def measured(how: str, talked: Conversation, taken_ns: int, attaches: int) -> Crash:
    """What the caller's end of the wire knows about a pipeline taken away at `taken_ns` (0: never was)."""
    spoken = [
        mark.started_ns for mark in talked.trace.marks if mark.speech_ended_ns and mark.started_ns > taken_ns
    ]
    first_ns = talked.audio.first_audible(taken_ns, min(spoken, default=None)) if taken_ns else None
    gaps = talked.reception.gaps
    return Crash(
        how=how,
        apology_ms=None if first_ns is None else round((first_ns - taken_ns) / 1e6, 1),
        gap_max_ms=round(gaps.max_ms, 1) if gaps else None,
        lost=talked.reception.lost,
        reattached=attaches > 1 and answered_last(talked),
        ended_by=talked.trace.ended_by,
    )


def answered_last(talked: Conversation) -> bool:
    """Whether the bot was heard after the last thing the caller said or pressed."""
    marks = talked.trace.marks
    if not marks or not marks[-1].speech_ended_ns:
        return False
    return measure.answer(talked.audio, marks[-1], talked.trace.ended_ns).first_sample_ns is not None


def judge(result: Result, crashes: list[Crash]) -> None:
    """Fills in what so many crashes come to: the worst of each kind must be in time."""
    for how in _SIGNALS:
        times = [one.apology_ms for one in crashes if one.how == how and one.apology_ms is not None]
        gaps = [one.gap_max_ms for one in crashes if one.how == how and one.gap_max_ms is not None]
        result.figures |= {
            f"{how}_apology_best_ms": min(times, default=None),
            f"{how}_apology_worst_ms": max(times, default=None),
            f"{how}_rtp_gap_max_ms": max(gaps, default=None),
        }
        result.budgets.append(
            Budget(
                f"{how}: to the first sound of the apology, worst, ms",
                result.figures[f"{how}_apology_worst_ms"],
                _BUDGET_MS,
                figure=f"{how}_apology_worst_ms",
            )
        )
    result.figures |= {
        "crashes": len(crashes),
        "reattached": sum(one.reattached for one in crashes),
        "each": [asdict(one) for one in crashes],
    }
    result.budgets += [
        Budget("callers who heard no apology", sum(one.apology_ms is None for one in crashes), 0),
        Budget("calls not attached again", sum(not one.reattached for one in crashes), 0),
        Budget("RTP packets lost", sum(one.lost for one in crashes), 0),
    ]


def so_far(crashes: list[Crash]) -> str:
    """One line about the last crash."""
    last = crashes[-1]
    waited = "no apology" if last.apology_ms is None else f"apology after {last.apology_ms:.0f} ms"
    gap = "no RTP" if last.gap_max_ms is None else f"longest RTP gap {last.gap_max_ms:.0f} ms"
    return f"{last.how}: {waited}, {gap}, " + ("attached again" if last.reattached else "NOT attached again")


def attaches_of(spool: Path, sip_call_id: str, within_seconds: float = _RECORD_SECONDS) -> int:
    """How often a pipeline had the call, by its closed record; 0 where none is found in time."""
    deadline = time.monotonic() + within_seconds
    while True:
        for path in spool.glob("*.json"):
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["sip_call_id"] == sip_call_id and record["state"] != "open":
                return int(record["attaches"])
        if time.monotonic() > deadline:
            return 0
        time.sleep(_POLL_SECONDS)


@contextmanager
def taken_away(running: stack.Stack, how: str) -> Iterator[tuple[Callable[[Event], None], list[int]]]:
    """What to call with the robot's events, and when the pipeline was taken away (empty before).

    It is when the bot has finished its first answer. A stopped one wakes up after 4 s, or on leaving.
    """
    taken_ns: list[int] = []
    stopped: list[int] = []

    def wake() -> None:
        while stopped:
            pidfd = stopped.pop()
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)
            os.close(pidfd)

    def on_event(event: Event) -> None:
        pid = running.supervisor.pid(_PIPELINE)
        if event.kind != "bot_quiet" or taken_ns or pid is None:
            return
        pidfd = os.pidfd_open(pid)
        taken_ns.append(time.monotonic_ns())
        signal.pidfd_send_signal(pidfd, _SIGNALS[how])
        if how == "stop":
            stopped.append(pidfd)
            asyncio.get_running_loop().call_later(_STOPPED_SECONDS, wake)
        else:
            os.close(pidfd)

    try:
        yield on_event, taken_ns
    finally:
        wake()


def _asking(name: str) -> scenarios.Scenario:
    """Hears the greeting, waits through the crash, and presses the key of the opening hours."""
    return scenarios.Scenario(
        name=name,
        max_seconds=90,
        turns=(
            scenarios.Turn(),
            scenarios.Turn(wait_ms=_RESTART_MS),
            scenarios.Turn(digits=scenarios.Digits(keys="1")),
        ),
    )
