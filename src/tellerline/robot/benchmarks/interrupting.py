"""Barge-in: how fast the bot yields to a caller, and that noise and its own echo do not stop it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tellerline.robot import conversation
from tellerline.robot import scenario as scenarios
from tellerline.robot.benchmarks.bench import Bench, Budget, Result, lines
from tellerline.robot.caller import Run
from tellerline.rpc import conversation_pb2 as pb

_CALLS = 4
_INTERRUPTIONS_A_CALL = 6
_LEAST = 20
# A key whose answer is a fixed phrase of several seconds: there is always something to interrupt.
_LONG_ANSWER_KEY = "2"
_NOISE_DB = -45.0


def barge_in(bench: Bench) -> Result:
    """At least 20 interruptions at different moments, then calls under noise and echo without any."""
    result = Result("barge-in")
    silences: list[float] = []
    missed = going_on = 0
    with bench.running(1) as state:
        for number in range(_CALLS):
            count = bench.turns or _INTERRUPTIONS_A_CALL
            bench.progress(f"barge-in: call {number + 1} of {_CALLS}, {count} interruptions")
            run = bench.run(result, [_interrupting(number, count)], state)
            turns = [turn for turn in run.conversations[0].turns if turn.kind == "interrupt"]
            silences += [turn.silent_ms for turn in turns if turn.silent_ms is not None]
            missed += sum(turn.silent_ms is None for turn in turns)
            going_on += sum(turn.overlapped for turn in turns)
            result.turns += [conversation.turn_as_dict(turn) for turn in turns]
            bench.progress(so_far(silences, missed))
        disturbances = {
            "noise": scenarios.Noise(level_db=_NOISE_DB, wav=_kitchen(bench)),
            "echo": None,
        }
        for name, noise in disturbances.items():
            bench.progress(f"barge-in: {name}, nobody interrupts")
            quiet = _quiet(name, noise, echo=noise is None)
            run = bench.run(result, [quiet], state)
            result.figures[name] = _interrupted(run)
    p50, p95 = conversation.percentiles(silences)
    result.figures |= {
        "p50_ms": p50,
        "p95_ms": p95,
        "interruptions": len(silences),
        "missed": missed,
        "not_silenced": going_on,
    }
    if _kitchen(bench) is None:
        result.skipped.append("noise of a real room (made noise instead): give --data FOLDER with noise-8k")
    stopped = sum(
        result.figures[name]["flushed"] + result.figures[name]["unanswered"] for name in disturbances
    )
    result.budgets = [
        Budget("caller's first sound to bot silent p95, ms", p95, 300, figure="p95_ms"),
        Budget(
            "interruptions measured",
            len(silences),
            bench.turns or _LEAST,
            at_least=True,
            figure="interruptions",
        ),
        # The bot was silent when the caller interrupted it, or the call was over.
        Budget("missed interruptions", missed, 0, figure="missed"),
        Budget("answers stopped by noise or echo", stopped, 0),
    ]
    return result


def so_far(silences: Sequence[float], missed: int) -> str:
    """One line about the interruptions measured until now."""
    p50, p95 = conversation.percentiles(silences)
    figures = f"p50 {p50:.0f} ms, p95 {p95:.0f} ms" if p50 is not None and p95 is not None else "no figure"
    return f"so far: {figures} of {len(silences)} interruptions, {missed} missed"


def _kitchen(bench: Bench) -> Path | None:
    if bench.data is None:
        return None
    wav = (bench.data / "noise-8k" / "kitchen.wav").absolute()
    return wav if wav.exists() else None


def _interrupting(number: int, count: int) -> scenarios.Scenario:
    said = lines()["interruptions"]
    turns = [scenarios.Turn()]
    for index in range(count):
        turns.append(scenarios.Turn(digits=scenarios.Digits(keys=_LONG_ANSWER_KEY)))
        after_ms = 900 + 230 * index + 60 * number
        text = said[(index + number) % len(said)]
        turns.append(scenarios.Turn(interrupt=scenarios.Interrupt(after_ms=after_ms, say=text)))
    return scenarios.Scenario(name=f"barge-in {number + 1}", turns=tuple(turns), max_seconds=600)


def _quiet(name: str, noise: scenarios.Noise | None, echo: bool) -> scenarios.Scenario:
    keys = [scenarios.Turn(digits=scenarios.Digits(keys=key)) for key in "2121"]
    return scenarios.Scenario(name=name, noise=noise, echo=echo, turns=(scenarios.Turn(), *keys))


def _interrupted(run: Run) -> dict[str, int | float | None]:
    talked = run.conversations[0]
    outcomes = [event.barge_in.outcome for event in talked.events if event.WhichOneof("event") == "barge_in"]
    keyed = [turn for turn in talked.turns if turn.kind == "digits"]
    return {
        "answers": len(keyed),
        "unanswered": sum(turn.voice_to_voice_ms is None for turn in keyed),
        "paused": outcomes.count(pb.BargeIn.PAUSED),
        "resumed": outcomes.count(pb.BargeIn.RESUMED),
        "flushed": outcomes.count(pb.BargeIn.FLUSHED),
    }
