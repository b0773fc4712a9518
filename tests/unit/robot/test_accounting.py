"""Whose CPU time it was, from process tables of the test's making and from this machine's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable

import pytest

from tellerline.robot import accounting
from tellerline.robot.accounting import Process, Snapshot
from tellerline.robot.machine import Use

TICKS = os.sysconf("SC_CLK_TCK")
BENCH, ROBOT, ENGINE, RENDERER, KTHREAD, STRANGER, COMPILER = 10, 11, 12, 13, 2, 90, 91


def table(*processes: Process) -> Snapshot:
    return {process.key: process for process in processes}


def process(pid: int, parent: int, own: float, reaped: float = 0.0, *, kernel: bool = False) -> Process:
    return Process(pid, parent, kernel, 1000 + pid, round(own * TICKS), round(reaped * TICKS))


def test_a_stat_line_is_read_whatever_the_command_is_called() -> None:
    # Fields 14 to 17 are utime, stime, cutime, cstime; 22 is the start time (proc(5)).
    line = "77 (a) b (c) S 5 77 77 0 -1 2097216 0 0 0 0 30 12 7 1 20 0 1 0 4242 0 0"
    assert accounting.parse(line) == Process(77, 5, True, 4242, 42, 8)


def test_what_descends_from_the_bench_is_never_foreign() -> None:
    before = table(process(BENCH, 1, 1), process(ENGINE, BENCH, 3))
    after = table(process(BENCH, 1, 2, reaped=5), process(ENGINE, BENCH, 9), process(ROBOT, BENCH, 4))
    assert accounting.foreign_seconds(before, after, [BENCH]) == 0


def test_a_child_of_ours_that_came_and_went_is_not_foreign() -> None:
    # The renderer's two seconds are in the reaped time of the bench that waited for it.
    before = table(process(BENCH, 1, 1), process(RENDERER, BENCH, 0.5))
    after = table(process(BENCH, 1, 1, reaped=2))
    assert accounting.foreign_seconds(before, after, [BENCH]) == 0


def test_kernel_threads_are_nobodys() -> None:
    before = table(process(KTHREAD, 0, 1, kernel=True))
    after = table(process(KTHREAD, 0, 50, kernel=True), process(BENCH, 1, 1))
    assert accounting.foreign_seconds(before, after, [BENCH]) == 0


def test_a_stack_started_elsewhere_is_ours_with_the_daemons_it_restarts() -> None:
    supervisor, old, new = 50, 51, 52
    before = table(process(BENCH, 1, 1), process(supervisor, 1, 1), process(old, supervisor, 8))
    after = table(process(BENCH, 1, 1), process(supervisor, 1, 1, reaped=9), process(new, supervisor, 4))
    assert accounting.foreign_seconds(before, after, [BENCH, supervisor]) == 0
    assert accounting.foreign_seconds(before, after, [BENCH]) == pytest.approx(5)


def test_strangers_count_what_they_used_in_the_span() -> None:
    before = table(process(BENCH, 1, 1), process(STRANGER, 1, 100))
    after = table(process(BENCH, 1, 9), process(STRANGER, 1, 103), process(COMPILER, STRANGER, 2))
    assert accounting.foreign_seconds(before, after, [BENCH]) == pytest.approx(5)


def test_a_stranger_that_ended_counts_without_its_earlier_life() -> None:
    # The compiler had used 40 s before the span and 1.5 s in it; who waited for it has it all.
    before = table(process(STRANGER, 1, 1), process(COMPILER, STRANGER, 40))
    after = table(process(STRANGER, 1, 1, reaped=41.5))
    assert accounting.foreign_seconds(before, after, [BENCH]) == pytest.approx(1.5)


def test_a_stranger_nobody_waited_for_takes_nothing_from_the_others() -> None:
    before = table(process(COMPILER, 1, 40), process(STRANGER, 1, 1))
    after = table(process(STRANGER, 1, 4))
    assert accounting.foreign_seconds(before, after, [BENCH]) == pytest.approx(3)


def pids(keys: Iterable[tuple[int, int]]) -> set[int]:
    return {pid for pid, _ in keys}


def test_this_machines_processes_are_told_apart() -> None:
    with subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE) as child:
        everybody = accounting.snapshot()
        ours = pids(accounting.family(everybody, [os.getpid()]))
        assert {os.getpid(), child.pid} <= ours
        assert os.getppid() not in ours
        child.communicate(b"\n")
    assert child.pid not in pids(accounting.snapshot())


@pytest.mark.parametrize(
    ("steal", "foreign", "said"),
    [
        (0.0, 0.05, ""),
        (0.0, None, ""),
        (0.03, 0.0, "the hypervisor took 3% of the machine"),
        (0.0, 0.2, "other processes used 20% of the machine"),
    ],
)
def test_a_run_says_what_disturbed_it(steal: float, foreign: float | None, said: str) -> None:
    assert Use(60, 0.5, steal, foreign, 1, 1).disturbed == said
