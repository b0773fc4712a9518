"""Task success: the robot dials every flow in several spoken variants, and the bank must have done it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import httpx
import pydantic
import yaml

from tellerline import stack_state
from tellerline.robot import conversation
from tellerline.robot import scenario as scenarios
from tellerline.robot.benchmarks.bench import Bench, Budget, Result
from tellerline.robot.benchmarks.latency import SHORT_SECONDS
from tellerline.robot.conversation import Conversation

# A line that did not get its task done is said once more in a second call: one repair turn.
_TRIES = 2
_BANK_MS = 50
# A read-back pauses for up to a second between its sentences, and a caller presses a key when it is over.
_READ_BACK_QUIET_MS = 1_800


class Flow(pydantic.BaseModel):
    """One task: what callers say for it, and what the bot has said when it is done (see tasks.yml)."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    say: tuple[str, ...]
    done: re.Pattern[str]
    not_done: re.Pattern[str] | None = None
    before: str | None = None
    then: tuple[str, ...] = ()
    executes: int = 0
    fresh: bool = False
    anonymous: bool = False


@dataclass(frozen=True)
class Attempt:
    """One line of one flow, said in one call; `turns` are the scenario's turns that belong to it."""

    name: str
    flow: Flow
    said: str
    turns: range


@dataclass
class _Tally:
    done: int = 0
    first_try: int = 0
    missed: list[str] = field(default_factory=list)


def tasks(bench: Bench) -> Result:
    """Every flow in at least five spoken variants, one repair turn each, with a bank that takes 50 ms."""
    result = Result("tasks")
    customer, flows = _load()
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    routed_ms: list[float] = []
    executed = owed = 0
    with bench.own(1, bank=True, bank_delay_ms=_BANK_MS) as running:
        assert running.back_office is not None
        sandbox = running.back_office.sandbox_url
        left = [(name, line) for name, flow in flows.items() for line in flow.say[: bench.turns]]
        for attempt in range(_TRIES):
            failed: list[tuple[str, str]] = []
            for scenario, attempts in _calls(customer, flows, left, again=attempt):
                bench.progress(f"tasks: {scenario.name}, {len(attempts)} lines")
                httpx.post(f"{sandbox}/reset").raise_for_status()
                talked = _call(bench, result, scenario, running.state)
                executed += len(httpx.get(f"{sandbox}/executions").raise_for_status().json()["executions"])
                routed_ms += _routed(talked)
                for tried in attempts:
                    said = _bot_said(tried, talked)
                    if _is_done(tried.flow, said):
                        tallies[tried.name].done += 1
                        tallies[tried.name].first_try += attempt == 0
                        owed += tried.flow.executes
                    else:
                        failed.append((tried.name, tried.said))
                        tried_turns = [turn for turn in talked.turns if turn.index in tried.turns]
                        heard = " / ".join(turn.heard or "" for turn in tried_turns)
                        bench.progress(f"tasks: not done: {tried.name}: {tried.said} ({heard}) → {said}")
            left = failed
            if not left:
                break
    for name, line in left:
        tallies[name].missed.append(line)
    total = sum(len(flow.say[: bench.turns]) for flow in flows.values())
    _judge(result, total, tallies, routed_ms)
    result.figures |= {"orders_said_done": owed, "orders_executed": executed}
    difference = abs(owed - executed)
    result.budgets.append(Budget("orders said done and not executed, or the other way", difference, 0))
    return result


def _load() -> tuple[dict[str, Any], dict[str, Flow]]:
    text = resources.files("tellerline.robot").joinpath("tasks.yml").read_text(encoding="utf-8")
    loaded = yaml.safe_load(text)
    flows = {name: Flow.model_validate(one) for name, one in loaded["flows"].items()}
    return {"sign_in": loaded["sign_in"], **loaded["customer"]}, flows


def _calls(
    customer: dict[str, Any], flows: dict[str, Flow], left: Sequence[tuple[str, str]], again: int
) -> Iterator[tuple[scenarios.Scenario, list[Attempt]]]:
    """The calls that say every line that is left: a flow's together, or each alone where it is `fresh`."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, said in left:
        flow = flows[name]
        groups[f"{name} {flow.say.index(said) + 1}" if flow.fresh else name].append((name, said))
    for title, lines in groups.items():
        turns = [scenarios.Turn()]
        if not flows[lines[0][0]].anonymous:
            turns.append(scenarios.Turn(say=customer["sign_in"]))
            for keys in (customer["number"], customer["pin"]):
                turns.append(scenarios.Turn(digits=scenarios.Digits(keys=f"{keys}#", secret=True)))
        attempts = []
        for name, said in lines:
            flow = flows[name]
            if flow.before is not None:
                turns.append(scenarios.Turn(say=flow.before))
            first = len(turns)
            turns.append(scenarios.Turn(say=said))
            turns += [scenarios.Turn(digits=scenarios.Digits(keys=keys)) for keys in flow.then]
            attempts.append(Attempt(name, flow, said, range(first, len(turns))))
        named = f"{title}, again" if again else title
        scenario = scenarios.Scenario(name=named, turns=tuple(turns), max_seconds=600)
        if any(one.flow.then for one in attempts):
            scenario = scenario.model_copy(update={"quiet_ms": _READ_BACK_QUIET_MS})
        yield scenario, attempts


def _call(
    bench: Bench, result: Result, scenario: scenarios.Scenario, state: stack_state.State
) -> Conversation:
    # Not repeated when disturbed: money would move twice. Whether a task was done does not hang on the load.
    (talked,) = bench.run(result, [scenario], state, repeat=False).conversations
    result.turns += [conversation.turn_as_dict(turn) for turn in talked.turns]
    return talked


def _bot_said(tried: Attempt, talked: Conversation) -> str:
    """What the bot said from the line of `tried` on, until the next."""
    marks = [mark for mark in talked.trace.marks if mark.turn in tried.turns]
    later = [mark.started_ns for mark in talked.trace.marks if mark.turn >= tried.turns.stop]
    if not marks:
        return ""
    until = min(later, default=None)
    return " ".join(
        event.bot_spoke.text
        for event in talked.events
        if event.WhichOneof("event") == "bot_spoke"
        and event.at_ns >= marks[0].started_ns
        and (until is None or event.at_ns < until)
    )


def _is_done(flow: Flow, said: str) -> bool:
    if flow.not_done is not None and flow.not_done.search(said):
        return False
    return flow.done.search(said) is not None


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


def _judge(result: Result, total: int, tallies: dict[str, _Tally], routed_ms: Sequence[float]) -> None:
    done = sum(tally.done for tally in tallies.values())
    p50, p95 = conversation.percentiles(routed_ms)
    result.figures |= {
        "lines": total,
        "done": done,
        "done_at_first": sum(tally.first_try for tally in tallies.values()),
        "success": round(done / total, 3) if total else None,
        **{f"{name}_done": tally.done for name, tally in tallies.items()},
        "routed_turns": len(routed_ms),
        "routed_p50_ms": p50,
        "routed_p95_ms": p95,
    }
    result.notes += [f"not done: {name}: {line}" for name, tally in tallies.items() for line in tally.missed]
    result.budgets = [
        Budget("tasks done", result.figures["success"], 0.95, at_least=True, figure="success"),
        Budget("routed turns, voice to voice p50, ms", p50, 500, figure="routed_p50_ms"),
        Budget("routed turns, voice to voice p95, ms", p95, 700, figure="routed_p95_ms"),
    ]
