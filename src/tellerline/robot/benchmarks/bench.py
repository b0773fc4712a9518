"""What every benchmark shares: a stack to measure, the robot, figures and budgets."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from tellerline import stack, stack_state
from tellerline.errors import StackError
from tellerline.robot import scenario as scenarios
from tellerline.robot import terminal
from tellerline.robot.caller import REPEATS, Caller, Listener, Run, Target, processes
from tellerline.robot.machine import Use

# SipSettings.lane_calls: the stock pjsua2 wheel has four slots.
CALLS_A_LANE = 4


@dataclass(frozen=True)
class Budget:
    """One figure and what it may be at most (or at least)."""

    name: str
    value: float | None
    limit: float
    at_least: bool = False
    # Its key in the result's figures, if it is one of them.
    figure: str = ""

    @property
    def held(self) -> bool:
        """Whether it holds; a figure that could not be measured does not."""
        if self.value is None:
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True)
class Take:
    """One run of the robot, of one or more calls at once, and whether its figures are the ones used."""

    name: str
    use: Use
    used: bool

    @property
    def marked(self) -> bool:
        """Whether its figures count although something disturbed it."""
        return self.used and bool(self.use.disturbed)


@dataclass
class Result:
    """What one benchmark found. `figures` are JSON types."""

    bench: str
    figures: dict[str, Any] = field(default_factory=dict)
    turns: list[dict[str, Any]] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    takes: list[Take] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # What was not measured, and what would measure it.
    skipped: list[str] = field(default_factory=list)
    # Why it could not be measured to the end; empty when it was.
    error: str = ""

    @property
    def held(self) -> bool:
        """Whether it was measured and every budget holds."""
        return not self.error and all(budget.held for budget in self.budgets)


@dataclass
class Bench:
    """Where and how to measure. `turns` scales the longer benchmarks down for a quick look."""

    home: Path
    models: Path
    caller: Caller
    data: Path | None
    progress: Callable[[str], None]
    turns: int | None = None
    # A run disturbed from outside is measured again this often at most.
    repeats: int = REPEATS

    @contextlib.contextmanager
    def running(
        self, lanes: int, *, echo: bool = False, engine: Mapping[str, Any] | None = None
    ) -> Iterator[stack_state.State]:
        """The stack that runs here if it suffices, else one of its own on free ports."""
        found = None
        if not echo and engine is None and lanes:
            with contextlib.suppress(StackError):
                found = stack_state.read_state(self.home)
        if found is not None and found.engine_socket is not None and len(found.lanes) >= lanes:
            self.progress("measuring the stack that runs here")
            yield found
            return
        with self.own(lanes, echo=echo, engine=engine) as started:
            yield started.state

    def own(
        self,
        lanes: int,
        *,
        echo: bool = False,
        engine: Mapping[str, Any] | None = None,
        pipeline: Mapping[str, Any] | None = None,
        bank: bool = False,
        bank_delay_ms: int = 0,
    ) -> stack.Stack:
        """A stack for this benchmark alone, to be entered; whatever else runs here is left alone."""
        return stack.Stack(
            lanes,
            echo=echo,
            bank=bank,
            bank_delay_ms=bank_delay_ms,
            # Its own folder: the state file of `tellerline up` stays its own.
            home=self.home / "bench",
            model_store=self.models,
            engine=engine,
            pipeline=pipeline,
            connector={"sip": {"port": 5170, "rtp_port_first": 24000}},
            progress=self.progress,
        )

    def run(
        self,
        result: Result,
        chosen: Sequence[scenarios.Scenario],
        state: stack_state.State,
        *,
        apart_ms: int = 700,
        repeat: bool = True,
        listener: Listener | None = None,
    ) -> Run:
        """Places the calls at once, four a lane; again, at most `repeats` times, if they are disturbed.

        The least disturbed run is returned, and what disturbed each is kept in `result.takes`.
        """
        lanes = state.lanes
        calls = [
            (one, self.caller.plan(one, lanes[index // CALLS_A_LANE].sip_uri, Path.cwd(), index * apart_ms))
            for index, one in enumerate(chosen)
        ]
        used = lanes[: math.ceil(len(calls) / CALLS_A_LANE)]
        target = Target(used[0].sip_uri, tuple(lane.pipeline_socket for lane in used), processes(state))
        name = chosen[0].name if len(chosen) == 1 else f"{len(chosen)} calls"
        runs: list[Run] = []
        for attempts_left in range(self.repeats if repeat else 0, -1, -1):
            run = asyncio.run(self.caller.run(calls, target, listener, hear=False))
            runs.append(run)
            again = "; measuring again" if run.use.disturbed and attempts_left else ""
            self.progress(f"{name}: {terminal.use_line(run.use)}{again}")
            if not run.use.disturbed:
                break
        best = min(runs, key=lambda run: run.use.disturbance)
        result.takes += [Take(name, run.use, run is best) for run in runs]
        return best


def lines() -> dict[str, list[str]]:
    """What benchmark callers say: `short`, `long` and `interruptions`."""
    text = resources.files("tellerline.robot").joinpath("lines.yml").read_text(encoding="utf-8")
    loaded: dict[str, list[str]] = yaml.safe_load(text)
    return loaded


def questions(name: str, said: Sequence[str]) -> scenarios.Scenario:
    """A call that hears the greeting and says one line after the other."""
    greeting = scenarios.Turn()
    return scenarios.Scenario(
        name=name,
        quiet_ms=900,
        max_seconds=900,
        turns=(greeting, *(scenarios.Turn(say=text) for text in said)),
    )
