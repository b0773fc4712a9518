"""The line itself: the greeting after the ACK, media alone under load, and the daemons' memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType

import psutil

from tellerline import stack
from tellerline.robot import conversation
from tellerline.robot import scenario as scenarios
from tellerline.robot.benchmarks.bench import Bench, Budget, Result, lines, pids, questions

_GREETING_CALLS = 10
_MEDIA_LANES = 5
_MEDIA_SECONDS = 60
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
    result.figures = {
        "calls": len(audible) + silent,
        "silent_calls": silent,
        "first_packet_max_ms": round(max(packets), 1) if packets else None,
        "first_audible_p50_ms": conversation.percentiles(audible)[0],
        "first_audible_max_ms": round(max(audible), 1) if audible else None,
    }
    result.budgets = [
        Budget(
            "ACK to the first greeting packet, worst call, ms", result.figures["first_audible_max_ms"], 300
        ),
        Budget("calls without a greeting", silent, 0),
    ]
    return result


def media(bench: Bench) -> Result:
    """Echo pipelines: no frame lost or late, and what a call costs."""
    result = Result("media")
    seconds = bench.turns or _MEDIA_SECONDS
    turns = (
        scenarios.Turn(expect=scenarios.Expect(answered=False)),
        scenarios.Turn(wait_ms=1000 * seconds, expect=scenarios.Expect(answered=False)),
    )
    one = scenarios.Scenario(
        name="media", noise=scenarios.Noise(level_db=-30), turns=turns, max_seconds=seconds + 30
    )
    calls = 4 * _MEDIA_LANES
    with bench.running(_MEDIA_LANES, echo=True) as state:
        processes = [psutil.Process(pid) for pid in pids(state)]
        before = {process.pid: _cpu(process) for process in processes}
        bench.progress(f"media: {_MEDIA_LANES} lanes x 4 calls for {seconds} s")
        run = bench.run(result, [one] * calls, state, apart_ms=50, repeat=False)
        used = {process.pid: _cpu(process) - before[process.pid] for process in processes}
    connectors = sum(used[lane.connector_pid] for lane in state.lanes if lane.connector_pid)
    pipelines = sum(used[lane.pipeline_pid] for lane in state.lanes if lane.pipeline_pid)
    talked = run.conversations
    gaps = [each.reception.gaps for each in talked if each.reception.gaps]
    result.figures = {
        "calls": calls,
        "answered": sum(each.trace.answered for each in talked),
        "packets": sum(each.reception.packets for each in talked),
        "lost": sum(each.reception.lost for each in talked),
        "reordered": sum(each.reception.reordered for each in talked),
        "gap_p50_ms": round(max(gap.p50_ms for gap in gaps), 1) if gaps else None,
        "gap_p99_ms": round(max(gap.p99_ms for gap in gaps), 1) if gaps else None,
        "gap_max_ms": round(max(gap.max_ms for gap in gaps), 1) if gaps else None,
        "connector_cpu_a_call_percent": round(100 * connectors / calls / seconds, 2),
        "echo_pipeline_cpu_a_call_percent": round(100 * pipelines / calls / seconds, 2),
        "robot_late_sends": sum(each.trace.late_sends for each in talked),
    }
    result.budgets = [
        Budget("calls not answered", calls - result.figures["answered"], 0),
        Budget("lost packets", result.figures["lost"], 0),
        Budget("RTP gap p99 of the worst call, ms", result.figures["gap_p99_ms"], 30),
    ]
    return result


def memory(bench: Bench) -> Result:
    """The most resident memory of each daemon while four calls talk."""
    result, said = Result("memory"), lines()["short"]
    each = bench.turns or 3
    talks = [
        questions(f"call {index}", said[index * each : (index + 1) * each]) for index in range(_MEMORY_CALLS)
    ]
    with bench.running(1) as state, _Memory(_daemons(state)) as most:
        bench.progress(f"memory: {_MEMORY_CALLS} calls of {each} turns")
        run = bench.run(result, talks, state, repeat=False)
    result.figures = {f"{name}_mb": round(most.megabytes[name], 1) for name in _MEMORY_LIMITS_MB}
    result.figures["answered"] = sum(one.trace.answered for one in run.conversations)
    result.budgets = [
        Budget(f"{name}, MB", result.figures[f"{name}_mb"], limit)
        for name, limit in _MEMORY_LIMITS_MB.items()
    ]
    result.budgets.append(Budget("answered calls", result.figures["answered"], _MEMORY_CALLS, at_least=True))
    return result


def _daemons(state: stack.State) -> dict[str, int]:
    lane = state.lanes[0]
    found = {"engine": state.engine_pid, "connector": lane.connector_pid, "pipeline": lane.pipeline_pid}
    return {name: pid for name, pid in found.items() if pid is not None}


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
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
                tree = [process, *process.children(recursive=True)]
                used = sum(one.memory_info().rss for one in tree) / 1e6
                self.megabytes[name] = max(self.megabytes[name], used)
            if self._done.wait(1.0):
                return
