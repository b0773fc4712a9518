"""The line itself: the greeting after the ACK, media alone under load, and the daemons' memory."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType

import psutil

from tellerline import stack_state
from tellerline.robot import conversation
from tellerline.robot import scenario as scenarios
from tellerline.robot.benchmarks.bench import CALLS_A_LANE, Bench, Budget, Result, lines, questions
from tellerline.robot.benchmarks.latency import glitches

_GREETING_CALLS = 10
_MEDIA_LANES = 5
_MEDIA_SECONDS = 60
# The longest wait of a scenario.
_MEDIA_MOST_SECONDS = 120
_MEMORY_CALLS = 4
_MEMORY_LIMITS_MB = {"engine": 1300, "connector": 120, "pipeline": 400}


def greeting(bench: Bench) -> Result:
    """ACK to the first packet, and to the first packet with the greeting in it."""
    result = Result("greeting")
    packets: list[float] = []
    audible: list[float] = []
    silent = 0
    with bench.running(1) as state:
        for number in range(bench.turns or _GREETING_CALLS):
            bench.progress(f"greeting: call {number + 1}")
            run = bench.run(result, [scenarios.Scenario(name="greeting", turns=(scenarios.Turn(),))], state)
            heard = run.conversations[0].greeting
            if heard.first_packet_ms is None or heard.first_audible_ms is None:
                silent += 1
                continue
            packets.append(heard.first_packet_ms)
            audible.append(heard.first_audible_ms)
            bench.progress(f"so far: worst {max(audible):.0f} ms, {silent} silent")
    result.figures = {
        "calls": len(audible) + silent,
        "silent_calls": silent,
        "first_packet_max_ms": round(max(packets), 1) if packets else None,
        "first_audible_p50_ms": conversation.percentiles(audible)[0],
        "first_audible_max_ms": round(max(audible), 1) if audible else None,
    }
    result.budgets = [
        Budget(
            "ACK to the first greeting packet, worst call, ms",
            result.figures["first_audible_max_ms"],
            300,
            figure="first_audible_max_ms",
        ),
        Budget("calls without a greeting", silent, 0, figure="silent_calls"),
    ]
    return result


def media(bench: Bench) -> Result:
    """Echo pipelines: no frame lost or late, and what a call costs."""
    result = Result("media")
    seconds = min(bench.turns or _MEDIA_SECONDS, _MEDIA_MOST_SECONDS)
    turns = (
        scenarios.Turn(expect=scenarios.Expect(answered=False)),
        scenarios.Turn(wait_ms=1000 * seconds, expect=scenarios.Expect(answered=False)),
    )
    one = scenarios.Scenario(
        name="media", noise=scenarios.Noise(level_db=-30), turns=turns, max_seconds=seconds + 30
    )
    calls = CALLS_A_LANE * _MEDIA_LANES
    with bench.running(_MEDIA_LANES, echo=True) as state:
        connectors = _Cpu(lane.connector_pid for lane in state.lanes)
        pipelines = _Cpu(lane.pipeline_pid for lane in state.lanes)
        bench.progress(f"media: {_MEDIA_LANES} lanes x {CALLS_A_LANE} calls for {seconds} s")
        run = bench.run(result, [one] * calls, state, apart_ms=50, repeat=False)
        connector_seconds, pipeline_seconds = connectors.seconds(), pipelines.seconds()
    talked = run.conversations
    gaps = [each.reception.gaps for each in talked if each.reception.gaps]
    result.figures = {
        "calls": calls,
        "answered": sum(each.trace.answered for each in talked),
        "packets": sum(each.reception.packets for each in talked),
        "reordered": sum(each.reception.reordered for each in talked),
        "gap_p50_ms": round(max(gap.p50_ms for gap in gaps), 1) if gaps else None,
        "gap_max_ms": round(max(gap.max_ms for gap in gaps), 1) if gaps else None,
        "connector_cpu_a_call_percent": _percent(connector_seconds, calls * seconds),
        "echo_pipeline_cpu_a_call_percent": _percent(pipeline_seconds, calls * seconds),
        "robot_late_sends": sum(each.trace.late_sends for each in talked),
    }
    result.budgets = glitches(talked)
    return result


def memory(bench: Bench) -> Result:
    """The most resident memory of each daemon while four calls talk."""
    result, said = Result("memory"), lines()["short"]
    each = bench.turns or 3
    talks = [
        questions(f"call {index}", [said[(index * each + turn) % len(said)] for turn in range(each)])
        for index in range(_MEMORY_CALLS)
    ]
    with bench.running(1) as state, _Memory(_daemons(state)) as most:
        bench.progress(f"memory: {_MEMORY_CALLS} calls of {each} turns")
        run = bench.run(result, talks, state, repeat=False)
    # The daemon that is not known of (an engine elsewhere) was not measured, so its budget is missed.
    result.figures = {
        f"{name}_mb": round(most.megabytes[name], 1) if name in most.megabytes else None
        for name in _MEMORY_LIMITS_MB
    }
    result.figures["dead_calls"] = sum(one.trace.ended_by != "caller" for one in run.conversations)
    result.budgets = [
        Budget(f"{name}, MB", result.figures[f"{name}_mb"], limit, figure=f"{name}_mb")
        for name, limit in _MEMORY_LIMITS_MB.items()
    ]
    result.budgets.append(Budget("dead calls", result.figures["dead_calls"], 0, figure="dead_calls"))
    return result


def _daemons(state: stack_state.State) -> dict[str, int]:
    lane = state.lanes[0]
    found = {"engine": state.engine_pid, "connector": lane.connector_pid, "pipeline": lane.pipeline_pid}
    return {name: pid for name, pid in found.items() if pid is not None}


def _percent(used_seconds: float | None, of_seconds: float) -> float | None:
    return None if used_seconds is None else round(100 * used_seconds / of_seconds, 2)


class _Cpu:
    """CPU time of processes from now on."""

    def __init__(self, found: Iterable[int | None]) -> None:
        self._processes = [psutil.Process(pid) for pid in found if pid is not None]
        self._before = {process.pid: _cpu_seconds(process) or 0.0 for process in self._processes}

    def seconds(self) -> float | None:
        """Used since the beginning; None where one of them has died meanwhile."""
        used = [_cpu_seconds(process) for process in self._processes]
        if any(seconds is None for seconds in used):
            return None
        return sum(seconds for seconds in used if seconds is not None) - sum(self._before.values())


def _cpu_seconds(process: psutil.Process) -> float | None:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return None
    return float(times.user + times.system)


class _Memory:
    """Samples resident set sizes once a second, the whole tree of each process, and keeps the largest."""

    def __init__(self, daemons: Mapping[str, int]) -> None:
        self._daemons = {name: psutil.Process(pid) for name, pid in daemons.items()}
        self.megabytes = {name: 0.0 for name in daemons}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            for name, process in self._daemons.items():
                self.megabytes[name] = max(self.megabytes[name], resident_mb(process))
            if self._done.wait(1.0):
                return


def resident_mb(process: psutil.Process) -> float:
    """Resident set size of a process and all that descend from it, in millions of bytes."""
    used = 0
    # Children come and go between the listing and the reading.
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                used += one.memory_info().rss
    return used / 1e6
