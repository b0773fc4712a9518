"""Benchmarks without a stack: what so many turns or crashes come to, disturbed runs, and the table."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from packet_traces import MS, at_packet, call, loud, spoke

from tellerline import stack_state
from tellerline.cli import bench as command
from tellerline.errors import StackError
from tellerline.robot import conversation, scenario
from tellerline.robot.benchmarks import crash, latency, report
from tellerline.robot.benchmarks.bench import Bench, Budget, Result, Take, questions
from tellerline.robot.caller import Caller, Run
from tellerline.robot.conversation import Segment, Turn
from tellerline.robot.machine import Use
from tellerline.robot.process import CallPlan, Event
from tellerline.robot.trace import Mark

CALM = Use(60, 0.4, 0.0, 0.01, 1.0, 0.5)
ALL_OF_IT = scenario.parse("name: x\nturns: [{}, {wait_ms: 9000}, {digits: '1'}]", "x")


def disturbed(foreign: float) -> Use:
    return Use(60, 0.9, 0.0, foreign, 1.0, 3.0)


def answered(ms: float = 400.0, seconds: float = 2.0) -> Turn:
    path = [Segment("recognition", ms - 100), Segment("synthesis", 100)]
    return Turn(1, "say", said_seconds=seconds, voice_to_voice_ms=ms, segments=path)


def missed(result: Result) -> list[str]:
    return [budget.name for budget in result.budgets if not budget.held]


def judged(*turns: Turn) -> Result:
    result = Result("latency")
    latency.judge(result, turns, least=40)
    return result


# ---- latency


def test_forty_fast_answers_hold() -> None:
    result = judged(*[answered()] * 40)
    assert missed(result) == []
    assert result.figures["mean_path_ms"] == {"recognition": 300.0, "synthesis": 100.0}
    assert result.figures["p50_above_ambition_ms"] == 100.0


def test_one_turn_without_an_answer_is_a_missed_budget() -> None:
    result = judged(*[answered()] * 43, Turn(1, "say", said_seconds=2.0))
    assert missed(result) == ["unanswered turns"]


def test_a_call_that_died_leaves_its_turns_unanswered() -> None:
    # A turn the caller never came to has no seconds of speech either.
    result = judged(*[answered()] * 40, *[Turn(1, "say")] * 4)
    assert missed(result) == ["unanswered turns"]
    assert result.figures["unanswered"] == 4


def test_a_long_line_without_an_answer_counts_too() -> None:
    assert missed(judged(*[answered()] * 40, Turn(1, "say", said_seconds=6.0))) == ["unanswered turns"]


def test_overlapped_turns_and_early_answers_are_printed() -> None:
    over = Turn(1, "say", said_seconds=2.0, overlapped=True, talked_over=True)
    result = judged(*[answered()] * 40, over)
    assert (result.figures["overlapped"], result.figures["early_answers"]) == (1, 1)
    assert "1 overlapped, 1 early_answers" in latency.so_far([answered(), over])


def test_too_few_turns_are_no_figure() -> None:
    assert missed(judged(*[answered()] * 39)) == ["measured turns"]


def test_calls_at_once_may_not_die_or_lose_packets() -> None:
    dead = conversation.assemble(call(10, missing=[4]), ALL_OF_IT, None, None)
    dead.trace.ended_by = "bot"
    assert [budget.name for budget in latency.glitches([dead]) if not budget.held] == [
        "dead calls",
        "RTP packets lost",
        "RTP gap p99 of the worst call, ms",
    ]


# ---- disturbed runs


class Rehearsed(Caller):
    """A caller whose runs went as they went."""

    def __init__(self, *uses: Use) -> None:
        self.uses = list(uses)
        self.placed: list[list[CallPlan]] = []

    def plan(self, chosen: scenario.Scenario, uri: str, folder: Path, start_after_ms: int = 0) -> CallPlan:
        return CallPlan(chosen.name, uri, (), start_after_ms=start_after_ms)

    async def run(self, calls, target, listener=None, *, hear=True, rtp_port=0) -> Run:  # type: ignore[no-untyped-def]
        self.placed.append([plan for _, plan in calls])
        return Run([], self.uses[len(self.placed) - 1], watched=False)


def bench(caller: Caller, said: list[str], repeats: int = 2) -> Bench:
    return Bench(Path("var"), Path("var/models"), caller, None, said.append, repeats=repeats)


def lanes(count: int) -> stack_state.State:
    found = tuple(
        stack_state.Lane(f"cpu-{n}", f"sip:lane-{n}", Path("p"), Path("c"), Path("s")) for n in range(count)
    )
    return stack_state.State(
        pid=1, life="", engine_socket=None, engine_pid=None, lanes=found, log_folder=Path("log")
    )


def test_a_calm_run_is_not_repeated() -> None:
    caller, result = Rehearsed(CALM), Result("latency")
    run = bench(caller, []).run(result, [questions("one", ["hello"])], lanes(1))
    assert run.use is CALM
    assert [take.marked for take in result.takes] == [False]


def test_a_disturbed_run_is_measured_again() -> None:
    caller, said, result = Rehearsed(disturbed(0.5), CALM), [], Result("latency")
    run = bench(caller, said).run(result, [questions("one", ["hello"])], lanes(1))
    assert run.use is CALM
    assert [(take.used, take.marked) for take in result.takes] == [(False, False), (True, False)]
    assert "others 50%" in said[0]
    assert said[0].endswith("measuring again")


def test_a_machine_that_stays_disturbed_is_used_and_marked() -> None:
    uses = [disturbed(0.5), disturbed(0.2), disturbed(0.3)]
    caller, said, result = Rehearsed(*uses), [], Result("latency")
    run = bench(caller, said).run(result, [questions("one", ["hello"])], lanes(1))
    assert len(caller.placed) == 3
    assert run.use is uses[1]
    assert [take.use for take in result.takes if take.marked] == [uses[1]]
    assert any(line.startswith("DISTURBED one: other processes used 20%") for line in report.remarks(result))
    assert not said[-1].endswith("measuring again")


def test_no_repeats_means_one_run() -> None:
    caller = Rehearsed(disturbed(0.5))
    bench(caller, [], repeats=0).run(Result("latency"), [questions("one", ["hello"])], lanes(1))
    assert len(caller.placed) == 1


def test_eight_calls_go_to_two_lanes_one_after_the_other() -> None:
    caller = Rehearsed(CALM)
    talks = [questions(f"call {n}", ["hello"]) for n in range(8)]
    bench(caller, []).run(Result("concurrency"), talks, lanes(2), apart_ms=900)
    assert [plan.uri for plan in caller.placed[0]] == ["sip:lane-0"] * 4 + ["sip:lane-1"] * 4
    assert [plan.start_after_ms for plan in caller.placed[0]] == [900 * n for n in range(8)]


# ---- crash


def crashed(*sounds: range, taken: int = 50) -> conversation.Conversation:
    """A call of 20 s with a greeting, the pipeline taken away at a packet, and a key at packet 500."""
    loud_packets = {n: loud() for span in (range(5, 30), *sounds) for n in span}
    trace = call(1000, loud_packets)
    trace.marks = [Mark(1, "wait", at_packet(taken) - MS), spoke(500, 510, "digits")]
    return conversation.assemble(trace, ALL_OF_IT, None, None)


def test_the_apology_is_timed_from_the_signal_to_its_first_sample() -> None:
    found = crash.measured("kill", crashed(range(90, 140), range(560, 600)), at_packet(50), attaches=2)
    assert found.apology_ms == pytest.approx(800)
    assert found.reattached
    assert found.gap_max_ms == pytest.approx(20)


def test_sound_after_the_key_is_no_apology() -> None:
    found = crash.measured("kill", crashed(range(560, 600)), at_packet(50), attaches=2)
    assert found.apology_ms is None


def test_a_call_is_attached_again_only_if_it_is_answered_again() -> None:
    heard = crashed(range(90, 140), range(560, 600))
    assert not crash.measured("stop", heard, at_packet(50), attaches=1).reattached
    assert not crash.measured("stop", crashed(range(90, 140)), at_packet(50), attaches=2).reattached


def test_a_pipeline_that_was_never_taken_away_measures_nothing() -> None:
    found = crash.measured("kill", crashed(range(90, 140)), 0, attaches=1)
    assert (found.apology_ms, found.reattached) == (None, False)


def test_every_crash_must_be_apologised_for_in_time_and_survived() -> None:
    good = crash.Crash("kill", 90.0, 40.0, 0, True, "caller")
    late = crash.Crash("stop", 1501.0, 40.0, 0, True, "caller")
    lost = crash.Crash("stop", None, 40.0, 2, False, "bot")
    result = Result("crash")
    crash.judge(result, [good, late, lost])
    assert missed(result) == [
        "stop: to the first sound of the apology, worst, ms",
        "callers who heard no apology",
        "calls not attached again",
        "RTP packets lost",
    ]


def test_a_kind_of_crash_that_was_not_tried_is_not_held() -> None:
    result = Result("crash")
    crash.judge(result, [crash.Crash("kill", 90.0, 40.0, 0, True, "caller")])
    assert missed(result) == ["stop: to the first sound of the apology, worst, ms"]


def test_a_record_that_is_still_open_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"sip_call_id": "a", "state": "closed", "attaches": 2}')
    (tmp_path / "b.json").write_text('{"sip_call_id": "b", "state": "open", "attaches": 0}')
    assert crash.attaches_of(tmp_path, "a", within_seconds=0) == 2
    assert crash.attaches_of(tmp_path, "b", within_seconds=0) == 0


class Lone:
    """A stack of one process, as far as `taken_away` looks at it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.supervisor = self

    def pid(self, unit: str) -> int:
        return self.process.pid

    def until(self, change: int) -> int:
        """Waits for a change of the process (waitid(2)) and says which it was."""
        found = os.waitid(os.P_PID, self.process.pid, change)
        assert found is not None
        return found.si_code


@pytest.fixture
def lone() -> Iterator[Lone]:
    with subprocess.Popen(("cat",), stdin=subprocess.PIPE) as process:
        yield Lone(process)
        process.kill()


def bot(kind: str) -> Event:
    return Event(0, time.monotonic_ns(), kind)


async def test_a_pipeline_is_killed_once_the_bot_has_been_heard_out(lone: Lone) -> None:
    with crash.taken_away(lone, "kill") as (on_event, taken_ns):
        on_event(bot("bot_started"))
        assert not taken_ns
        on_event(bot("bot_quiet"))
        on_event(bot("bot_quiet"))
    assert lone.process.wait() == -signal.SIGKILL
    assert len(taken_ns) == 1


async def test_a_stopped_pipeline_wakes_up_again_whatever_happens(lone: Lone) -> None:
    with pytest.raises(ZeroDivisionError), crash.taken_away(lone, "stop") as (on_event, _):
        on_event(bot("bot_quiet"))
        assert lone.until(os.WSTOPPED) == os.CLD_STOPPED
        raise ZeroDivisionError
    assert lone.until(os.WCONTINUED) == os.CLD_CONTINUED


# ---- the command


def test_one_benchmark_that_cannot_run_does_not_take_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(where: Bench) -> Result:
        raise StackError("engine@cpu was not ready")

    def incomplete(where: Bench) -> Result:
        return Result("recognition", figures={"clips": 50}, skipped=["people's voices"])

    monkeypatch.setattr(command, "_BENCHMARKS", {"memory": broken, "recognition": incomplete})
    done = CliRunner().invoke(command.bench, ["all", "--home", str(tmp_path)])
    assert done.exit_code == 1
    assert "FAILED engine@cpu was not ready" in done.stdout
    assert "clips" in done.stdout
    assert done.stdout.count("Linux") == 1
    assert "NOT MEASURED recognition: people's voices" in done.stderr


# ---- the table


def test_every_figure_has_one_line_with_its_budget_and_verdict() -> None:
    figures = {"p50_ms": 612.34, "p50_above_ambition_ms": 312.3, "long_p95_ms": None, "long_turns": 4}
    result = Result("latency", figures=figures)
    result.budgets = [
        Budget("voice to voice p50, ms", 612.34, 600, figure="p50_ms"),
        Budget("dead calls", 0, 0),
    ]
    assert report.rows(result) == [
        report.Row("voice to voice p50, ms", "612.3", "<= 600", "MISSED"),
        report.Row("p50 above the ambition of 300, ms", "312.3"),
        report.Row("long p95, ms", "not measured"),
        report.Row("long turns", "4"),
        report.Row("dead calls", "0", "<= 0", "held"),
    ]


def test_it_says_where_the_rest_of_the_latency_goes() -> None:
    result = Result("latency", figures={"mean_path_ms": {"recognition": 300.0, "synthesis": 100.0}})
    total, *stages = report.rows(result)
    assert (total.name, total.value) == ("where the mean answer's time goes, ms", "400.0")
    assert [(row.name.strip(), row.value, row.budget) for row in stages] == [
        ("recognition", "300.0", "75%"),
        ("synthesis", "100.0", "25%"),
    ]


def test_figures_of_a_group_stand_in_lines_of_their_own() -> None:
    result = Result(
        "recognition", figures={"whisper-base": {"digits": {"word_error_rate": 0.25, "clips": 24}}}
    )
    assert [(row.name, row.value) for row in report.rows(result)] == [
        ("whisper-base: digits: word error rate", "0.25"),
        ("whisper-base: digits: clips", "24"),
    ]


def test_one_table_with_what_was_skipped_failed_and_disturbed() -> None:
    results = [
        Result("recognition", skipped=["people's voices"]),
        Result("memory", error="stack: engine@cpu was not ready"),
        Result("latency", takes=[Take("latency 1", disturbed(0.3), True)]),
    ]
    lines = report.table(results)
    assert sum(line.startswith("figure") for line in lines) == 1
    assert "  SKIPPED people's voices" in lines
    assert "  FAILED stack: engine@cpu was not ready" in lines
    assert any(line.startswith("  DISTURBED latency 1: other processes used 30%") for line in lines)
    assert [result.held for result in results] == [True, False, True]
    assert max(map(len, lines)) < 110
