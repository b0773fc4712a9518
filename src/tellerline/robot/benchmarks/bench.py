"""What every benchmark shares: a stack to measure, the robot, figures and budgets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from tellerline import stack
from tellerline.errors import StackError
from tellerline.robot import scenario as scenarios
from tellerline.robot.caller import REPEATS, Caller, Run, Target
from tellerline.robot.machine import Use


@dataclass(frozen=True)
class Budget:
    """One figure and what it may be at most (or at least)."""

    name: str
    value: float | None
    limit: float
    at_least: bool = False

    @property
    def held(self) -> bool:
        """Whether it holds; a figure that could not be measured does not."""
        if self.value is None:
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass
class Result:
    """What one benchmark found. `figures` are JSON types."""

    bench: str
    figures: dict[str, Any] = field(default_factory=dict)
    turns: list[dict[str, Any]] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether every budget holds."""
        return all(budget.held for budget in self.budgets)


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
    ) -> Iterator[stack.State]:
        """The stack that runs here if it suffices, else one of its own on free ports."""
        if not echo and engine is None and lanes:
            with contextlib.suppress(StackError):
                running = stack.read_state(self.home)
                if running.engine_socket is not None and len(running.lanes) >= lanes:
                    self.progress("measuring the stack that runs here")
                    yield running
                    return
        # Its own folder: the state file of `tellerline up` stays its own.
        started = stack.Stack(
            lanes,
            echo=echo,
            home=self.home / "bench",
            model_store=self.models,
            engine=engine,
            connector={"sip": {"port": 5170, "rtp_port_first": 24000}},
            progress=self.progress,
        )
        with started as own:
            yield own.state

    def run(
        self,
        result: Result,
        chosen: Sequence[scenarios.Scenario],
        state: stack.State,
        *,
        apart_ms: int = 700,
        repeat: bool = True,
    ) -> Run:
        """Places the calls at once, four a lane; again, at most twice, where something disturbed them."""
        lanes = state.lanes
        calls = [
            (one, self.caller.plan(one, lanes[index // 4].sip_uri, Path.cwd(), index * apart_ms))
            for index, one in enumerate(chosen)
        ]
        used = lanes[: (len(calls) + 3) // 4]
        target = Target(used[0].sip_uri, tuple(lane.pipeline_socket for lane in used), pids(state))
        for attempt in range(1 + self.repeats):
            run = asyncio.run(self.caller.run(calls, target, hear=False))
            result.uses.append(run.use)
            if not run.use.disturbed or not repeat:
                break
            result.notes.append(f"disturbed: {run.use.disturbed}")
            if attempt < self.repeats:
                self.progress(f"{run.use.disturbed}; measuring again")
        return run


def pids(state: stack.State) -> tuple[int, ...]:
    """Every process of a stack."""
    found = [state.engine_pid]
    for lane in state.lanes:
        found += [lane.connector_pid, lane.pipeline_pid]
    return tuple(pid for pid in found if pid is not None)


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
