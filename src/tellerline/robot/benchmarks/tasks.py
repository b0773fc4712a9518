"""Task success: the robot dials every flow in several spoken variants, and the bank must have done it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

from tellerline import stack_state
from tellerline.robot import conversation
from tellerline.robot import scenario as scenarios
from tellerline.robot.benchmarks.bench import Bench, Budget, Result
from tellerline.robot.benchmarks.latency import SHORT_SECONDS
from tellerline.robot.conversation import Conversation

# A line that did not get its task done is said once more in a second call: one repair turn.
_TRIES = 2


@dataclass(frozen=True)
class Flow:
    """One task, what callers say for it, and what the bot has said when it is done."""

    name: str
    say: tuple[str, ...]
    done: re.Pattern[str]
    # Keys pressed after each line.
    then: tuple[str, ...] = ()
    # Every line in a call of its own: the task ends the call, or cannot be done twice.
    fresh: bool = False
    # Nobody need say who they are for it.
    anonymous: bool = False


@dataclass(frozen=True)
class Attempt:
    """One line of one flow, said in one call; `turns` are the scenario's turns that belong to it."""

    flow: Flow
    said: str
    turns: range


@dataclass
class _Tally:
    done: int = 0
    first_try: int = 0
    missed: list[str] = field(default_factory=list)


def tasks(bench: Bench) -> Result:
    """Every flow in at least five spoken variants; one repair turn each."""
    result = Result("tasks")
    customer, flows = _load()
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    routed_ms: list[float] = []
    with bench.own(1, bank=True) as running:
        left = [(flow, line) for flow in flows for line in flow.say[: bench.turns]]
        for attempt in range(_TRIES):
            failed: list[tuple[Flow, str]] = []
            for scenario, attempts in _calls(customer, left, again=attempt):
                bench.progress(f"tasks: {scenario.name}, {len(attempts)} lines")
                talked = _call(bench, result, scenario, running.state)
                routed_ms += _routed(talked)
                for tried in attempts:
                    if _is_done(tried, talked):
                        tallies[tried.flow.name].done += 1
                        tallies[tried.flow.name].first_try += attempt == 0
                    else:
                        failed.append((tried.flow, tried.said))
                        bench.progress(f"tasks: not done yet: {tried.flow.name}: {tried.said}")
            left = failed
            if not left:
                break
    for flow, said in left:
        tallies[flow.name].missed.append(said)
    _judge(result, flows, tallies, routed_ms, bench.turns)
    return result


def _load() -> tuple[dict[str, Any], list[Flow]]:
    text = resources.files("tellerline.robot").joinpath("tasks.yml").read_text(encoding="utf-8")
    loaded = yaml.safe_load(text)
    flows = [
        Flow(
            name,
            tuple(one["say"]),
            re.compile(one["done"]),
            tuple(one.get("then", ())),
            bool(one.get("fresh", False)),
            bool(one.get("anonymous", False)),
        )
        for name, one in loaded["flows"].items()
    ]
    return {"sign_in": loaded["sign_in"], **loaded["customer"]}, flows


def _calls(
    customer: dict[str, Any], left: Sequence[tuple[Flow, str]], again: int
) -> Iterator[tuple[scenarios.Scenario, list[Attempt]]]:
    """The calls that say every line that is left: a flow's together, or each alone where it is `fresh`."""
    groups: dict[str, list[tuple[Flow, str]]] = defaultdict(list)
    for flow, said in left:
        groups[f"{flow.name} {flow.say.index(said) + 1}" if flow.fresh else flow.name].append((flow, said))
    for name, lines in groups.items():
        turns = [scenarios.Turn()]
        if not all(flow.anonymous for flow, _ in lines):
            turns.append(scenarios.Turn(say=customer["sign_in"]))
            for keys in (customer["number"], customer["pin"]):
                turns.append(scenarios.Turn(digits=scenarios.Digits(keys=f"{keys}#", secret=True)))
        attempts = []
        for flow, said in lines:
            first = len(turns)
            turns.append(scenarios.Turn(say=said))
            turns += [scenarios.Turn(digits=scenarios.Digits(keys=keys)) for keys in flow.then]
            attempts.append(Attempt(flow, said, range(first, len(turns))))
        title = f"{name}, again" if again else name
        yield scenarios.Scenario(name=title, turns=tuple(turns), max_seconds=600), attempts


def _call(
    bench: Bench, result: Result, scenario: scenarios.Scenario, state: stack_state.State
) -> Conversation:
    # Not repeated when disturbed: money would move twice. Whether a task was done does not hang on the load.
    (talked,) = bench.run(result, [scenario], state, repeat=False).conversations
    result.turns += [conversation.turn_as_dict(turn) for turn in talked.turns]
    return talked


def _is_done(tried: Attempt, talked: Conversation) -> bool:
    marks = [mark for mark in talked.trace.marks if mark.turn in tried.turns]
    later = [mark.started_ns for mark in talked.trace.marks if mark.turn >= tried.turns.stop]
    if not marks:
        return False
    until = min(later, default=None)
    said = [
        event.bot_spoke.text
        for event in talked.events
        if event.WhichOneof("event") == "bot_spoke"
        and event.at_ns >= marks[0].started_ns
        and (until is None or event.at_ns < until)
    ]
    return tried.flow.done.search(" ".join(said)) is not None


def _routed(talked: Conversation) -> list[float]:
    """Voice-to-voice times of spoken turns up to 4 s that the router understood."""
    routed = [
        event.at_ns
        for event in talked.events
        if event.WhichOneof("event") == "understood" and event.understood.by == "router"
    ]
    found = []
    for turn in talked.turns:
        marks = [mark for mark in talked.trace.marks if mark.turn == turn.index]
        later = [mark.started_ns for mark in talked.trace.marks if mark.turn > turn.index]
        if not marks or turn.kind != "say" or turn.voice_to_voice_ms is None:
            continue
        until = min(later, default=talked.trace.ended_ns)
        if turn.said_seconds <= SHORT_SECONDS and any(marks[0].started_ns <= at < until for at in routed):
            found.append(turn.voice_to_voice_ms)
    return found


def _judge(
    result: Result,
    flows: Sequence[Flow],
    tallies: dict[str, _Tally],
    routed_ms: Sequence[float],
    variants: int | None,
) -> None:
    total = sum(len(flow.say[:variants]) for flow in flows)
    done = sum(tally.done for tally in tallies.values())
    p50, p95 = conversation.percentiles(routed_ms)
    result.figures |= {
        "lines": total,
        "done": done,
        "done_at_first": sum(tally.first_try for tally in tallies.values()),
        "success": round(done / total, 3) if total else None,
        **{f"{flow.name}_done": tallies[flow.name].done for flow in flows},
        "routed_turns": len(routed_ms),
        "routed_p50_ms": p50,
        "routed_p95_ms": p95,
    }
    result.notes += [f"not done: {name}: {said}" for name, tally in tallies.items() for said in tally.missed]
    result.budgets = [
        Budget("tasks done", result.figures["success"], 0.95, at_least=True, figure="success"),
        Budget("routed turns, voice to voice p50, ms", p50, 500, figure="routed_p50_ms"),
        Budget("routed turns, voice to voice p95, ms", p95, 700, figure="routed_p95_ms"),
    ]
