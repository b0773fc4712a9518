"""Voice to voice: one call at a time, and several at once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tellerline.robot import conversation, words
from tellerline.robot.benchmarks.bench import CALLS_A_LANE, Bench, Budget, Result, lines, questions
from tellerline.robot.conversation import Conversation, Turn

# Utterances up to this long carry the budget.
SHORT_SECONDS = 4.0
_SHORT_TURNS = 42
_TURNS_A_CALL = 11
_LONG_TURNS = 4
# The fewest measured turns a 95th percentile is believed of.
_LEAST_TURNS = 40
_BUDGET_MS = {"p50_ms": 600, "p95_ms": 850}
AMBITION_MS = {"p50_ms": 300, "p95_ms": 500}
_CONCURRENT = (2, 4, 8)
_TURNS_EACH = 5


def latency(bench: Bench) -> Result:
    """At least 40 turns of short utterances in calls one after the other, longer ones beside them."""
    result, said = Result("latency"), lines()
    short = said["short"][: bench.turns or _SHORT_TURNS]
    talks = [short[at : at + _TURNS_A_CALL] for at in range(0, len(short), _TURNS_A_CALL)]
    talks.append(said["long"][: bench.turns or _LONG_TURNS])
    turns: list[Turn] = []
    with bench.running(1) as state:
        for number, talk in enumerate(talks, 1):
            bench.progress(f"latency: call {number} of {len(talks)}, {len(talk)} turns")
            run = bench.run(result, [questions(f"latency {number}", talk)], state)
            turns += _spoken(run.conversations)
            _note_call(result, run.conversations[0])
            bench.progress(so_far(turns))
    judge(result, turns, bench.turns or _LEAST_TURNS)
    return result


def so_far(turns: Sequence[Turn]) -> str:
    """One line about the turns measured until now."""
    measured = conversation.spoken_latencies(_short(turns))
    p50, p95 = conversation.percentiles(measured)
    troubles = ", ".join(f"{count} {name}" for name, count in _troubles(turns).items() if count)
    figures = f"p50 {p50:.0f} ms, p95 {p95:.0f} ms" if p50 is not None and p95 is not None else "no figure"
    return f"so far: {figures} of {len(measured)} turns" + (f"; {troubles}" if troubles else "")


def judge(result: Result, turns: Sequence[Turn], least: int) -> None:
    """Fills in what so many turns of one call at a time come to.

    A turn without an answer has no latency, so it would flatter the percentiles: none may be without.
    """
    spoken = _short(turns)
    longer = [turn for turn in turns if turn.said_seconds > SHORT_SECONDS]
    p50, p95 = conversation.percentiles(conversation.spoken_latencies(spoken))
    long_p50, long_p95 = conversation.percentiles(conversation.spoken_latencies(longer))
    measured = len(conversation.spoken_latencies(spoken))
    result.figures |= {
        "p50_ms": p50,
        "p95_ms": p95,
        "p50_above_ambition_ms": _above(p50, AMBITION_MS["p50_ms"]),
        "p95_above_ambition_ms": _above(p95, AMBITION_MS["p95_ms"]),
        "measured_turns": measured,
        **_troubles(turns),
        "long_p50_ms": long_p50,
        "long_p95_ms": long_p95,
        "long_turns": len(longer),
        "word_error_rate": _word_error_rate(turns),
        "mean_path_ms": mean_path(spoken),
    }
    result.turns = [conversation.turn_as_dict(turn) for turn in turns]
    result.budgets = [
        Budget("voice to voice p50, ms", p50, _BUDGET_MS["p50_ms"], figure="p50_ms"),
        Budget("voice to voice p95, ms", p95, _BUDGET_MS["p95_ms"], figure="p95_ms"),
        Budget("measured turns", measured, least, at_least=True, figure="measured_turns"),
        Budget("unanswered turns", result.figures["unanswered"], 0, figure="unanswered"),
    ]


def _spoken(talked: Sequence[Conversation]) -> list[Turn]:
    return [turn for one in talked for turn in one.turns if turn.kind == "say"]


def _short(turns: Sequence[Turn]) -> list[Turn]:
    return [turn for turn in turns if turn.said_seconds <= SHORT_SECONDS]


def _above(value: float | None, ambition: float) -> float | None:
    return None if value is None else round(max(0.0, value - ambition), 1)


def concurrency(bench: Bench) -> Result:
    """The same at 2, 4 and 8 calls at once: latencies are printed, no call may die, RTP may not glitch."""
    result, said = Result("concurrency"), lines()["short"]
    each = bench.turns or _TURNS_EACH
    talked: list[Conversation] = []
    for calls in _CONCURRENT:
        bench.progress(f"concurrency: {calls} calls at once, {each} turns each")
        # No two calls say the same at the same time.
        talks = [
            questions(f"call {index}", [said[(index * each + turn) % len(said)] for turn in range(each)])
            for index in range(calls)
        ]
        with bench.running(math.ceil(calls / CALLS_A_LANE)) as state:
            run = bench.run(result, talks, state, apart_ms=900, repeat=False)
        talked += run.conversations
        for one in run.conversations:
            _note_call(result, one)
        bench.progress(
            so_far([turn for one in run.conversations for turn in one.turns if turn.kind == "say"])
        )
        result.figures[f"{calls}_calls"] = _together(run.conversations)
    result.budgets = glitches(talked)
    return result


def glitches(talked: Sequence[Conversation]) -> list[Budget]:
    """No call may die, no packet of the bot may be lost or late."""
    gaps = [one.reception.gaps.p99_ms for one in talked if one.reception.gaps]
    return [
        Budget("dead calls", _dead(talked), 0),
        Budget("RTP packets lost", sum(one.reception.lost for one in talked), 0),
        Budget("RTP gap p99 of the worst call, ms", round(max(gaps), 1) if gaps else None, 30),
    ]


def _dead(talked: Sequence[Conversation]) -> int:
    # Refused, ended by the bot, or at the time limit: the scripts of these calls hang up themselves.
    return sum(one.trace.ended_by != "caller" for one in talked)


def _together(talked: Sequence[Conversation]) -> dict[str, Any]:
    turns = _spoken(talked)
    p50, p95 = conversation.percentiles(conversation.spoken_latencies(turns))
    gaps = [one.reception.gaps for one in talked if one.reception.gaps]
    return {
        "p50_ms": p50,
        "p95_ms": p95,
        "turns": len(turns),
        **_troubles(turns),
        "dead_calls": _dead(talked),
        "lost_packets": sum(one.reception.lost for one in talked),
        "gap_p99_ms": round(max(gap.p99_ms for gap in gaps), 1) if gaps else None,
        "gap_max_ms": round(max(gap.max_ms for gap in gaps), 1) if gaps else None,
        "mean_path_ms": mean_path(turns),
    }


def mean_path(turns: Sequence[Turn]) -> dict[str, float]:
    """Where the milliseconds of an average turn went; over the turns whose stages are known."""
    known = [turn for turn in turns if turn.segments]
    sums: defaultdict[str, float] = defaultdict(float)
    for turn in known:
        for segment in turn.segments:
            sums[segment.name] += segment.ms
    return {name: round(total / len(known), 1) for name, total in sums.items()}


def _troubles(turns: Sequence[Turn]) -> dict[str, int]:
    return {
        "unanswered": sum(turn.voice_to_voice_ms is None and not turn.overlapped for turn in turns),
        # The bot could be heard as the caller fell silent: no latency, whatever it was saying.
        "overlapped": sum(turn.overlapped for turn in turns),
        # The bot had begun before the caller had ended.
        "early_answers": sum(turn.talked_over for turn in turns),
        "misheard": sum(turn.misheard for turn in turns),
        "withdrawn": sum(turn.withdrawn for turn in turns),
    }


def _word_error_rate(turns: Sequence[Turn]) -> float | None:
    counted = [words.word_errors(turn.said, turn.heard) for turn in turns if turn.heard is not None]
    total = sum(said for _, said in counted)
    return round(sum(wrong for wrong, _ in counted) / total, 4) if total else None


def _note_call(result: Result, talked: Conversation) -> None:
    result.notes += [f"{talked.trace.name}: {failure}" for failure in talked.failures]
    if talked.trace.ended_by not in ("caller", ""):
        result.notes.append(f"{talked.trace.name}: ended by the {talked.trace.ended_by}")
