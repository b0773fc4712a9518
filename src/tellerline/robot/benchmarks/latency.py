"""Voice to voice: one call at a time, and several at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tellerline.robot import conversation, words
from tellerline.robot.benchmarks.bench import Bench, Budget, Result, lines, questions
from tellerline.robot.conversation import Conversation, Turn

# Utterances up to this long carry the budget.
SHORT_SECONDS = 4.0
_TURNS_A_CALL = 11
# The fewest measured turns a 95th percentile is believed of.
_LEAST_TURNS = 40
_CONCURRENT = (2, 4, 8)
_TURNS_EACH = 5


def latency(bench: Bench) -> Result:
    """At least 40 turns of short utterances in calls one after the other, longer ones beside them."""
    result, said = Result("latency"), lines()
    short = said["short"][: bench.turns or 44]
    talks = [short[at : at + _TURNS_A_CALL] for at in range(0, len(short), _TURNS_A_CALL)]
    talks.append(said["long"][: bench.turns])
    turns: list[Turn] = []
    with bench.running(1) as state:
        for number, talk in enumerate(talks, 1):
            bench.progress(f"latency: call {number} of {len(talks)}, {len(talk)} turns")
            run = bench.run(result, [questions(f"latency {number}", talk)], state)
            turns += [turn for turn in run.conversations[0].turns if turn.kind == "say"]
            _note_call(result, run.conversations[0])
    spoken = [turn for turn in turns if turn.said_seconds <= SHORT_SECONDS]
    longer = [turn for turn in turns if turn.said_seconds > SHORT_SECONDS]
    p50, p95 = conversation.percentiles(conversation.spoken_latencies(spoken))
    long_p50, long_p95 = conversation.percentiles(conversation.spoken_latencies(longer))
    measured = len(conversation.spoken_latencies(spoken))
    result.figures = {
        "p50_ms": p50,
        "p95_ms": p95,
        "measured_turns": measured,
        "long_p50_ms": long_p50,
        "long_p95_ms": long_p95,
        "long_turns": len(longer),
        **_troubles(turns),
        "word_error_rate": _word_error_rate(turns),
        "mean_path_ms": mean_path(spoken),
    }
    result.turns = [conversation.turn_as_dict(turn) for turn in turns]
    result.budgets = [
        Budget("voice to voice p50, ms", p50, 600),
        Budget("voice to voice p95, ms", p95, 850),
        Budget("measured turns", measured, bench.turns or _LEAST_TURNS, at_least=True),
    ]
    return result


def concurrency(bench: Bench) -> Result:
    """The same at 2, 4 and 8 calls at once: latencies are printed, no call may die, RTP may not glitch."""
    result, said = Result("concurrency"), lines()["short"]
    talked: list[Conversation] = []
    for calls in _CONCURRENT:
        bench.progress(f"concurrency: {calls} calls at once")
        each = bench.turns or _TURNS_EACH
        talks = [
            questions(f"call {index}", (said + said)[index * each : (index + 1) * each])
            for index in range(calls)
        ]
        with bench.running((calls + 3) // 4) as state:
            run = bench.run(result, talks, state, apart_ms=900, repeat=False)
        talked += run.conversations
        result.figures[f"{calls}_calls"] = _together(run.conversations)
    gaps = [one.reception.gaps.p99_ms for one in talked if one.reception.gaps]
    result.budgets = [
        Budget("dead calls", _dead(talked), 0),
        Budget("lost packets", sum(one.reception.lost for one in talked), 0),
        Budget("RTP gap p99 of the worst call, ms", max(gaps) if gaps else None, 30),
    ]
    return result


def _dead(talked: Sequence[Conversation]) -> int:
    return sum(one.trace.ended_by != "caller" for one in talked)


def _together(talked: Sequence[Conversation]) -> dict[str, Any]:
    turns = [turn for one in talked for turn in one.turns if turn.kind == "say"]
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
        "overlapped": sum(turn.overlapped for turn in turns),
        "talked_over": sum(turn.talked_over for turn in turns),
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
