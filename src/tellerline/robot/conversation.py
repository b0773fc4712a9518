"""One finished call put together: turns with what was said, heard and answered, times, and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tellerline.robot import measure, words
from tellerline.robot.g711 import Samples
from tellerline.robot.scenario import Expect, Scenario
from tellerline.robot.scenario import Turn as ScenarioTurn
from tellerline.robot.trace import CallTrace, Mark
from tellerline.rpc import conversation_pb2 as pb

# What the end of one stage is followed by until the next begins, on the way to the answer.
_EPSILON_NS = 1_000_000


@dataclass(frozen=True)
class Segment:
    """A stretch of a turn's wait and the stage that took it."""

    name: str
    ms: float


@dataclass
class Turn:
    """One turn of a call."""

    index: int
    kind: str
    said: str = ""
    # By the bot's recogniser; None without a Watch stream.
    heard: str | None = None
    # By the robot's own recogniser.
    answer: str = ""
    said_seconds: float = 0.0
    voice_to_voice_ms: float | None = None
    silent_ms: float | None = None
    stages: dict[str, float] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    withdrawn: int = 0
    tones: int = 0
    overlapped: bool = False
    talked_over: bool = False
    misheard: bool = False
    failures: list[str] = field(default_factory=list)


@dataclass
class Conversation:
    """One call."""

    trace: CallTrace
    audio: measure.BotAudio
    reception: measure.Reception
    greeting: measure.Greeting
    turns: list[Turn]
    # What the stack said about the call; empty when it was not watched.
    events: list[pb.ConversationEvent] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every expectation held."""
        return not self.failures and not any(turn.failures for turn in self.turns)


def critical_path(stages: Sequence[tuple[str, int, int]], start_ns: int, end_ns: int) -> list[Segment]:
    """Who took each stretch from `start_ns` to `end_ns`, found from the answer backwards.

    Stages overlap. At every point the stage that ended last before it is what was waited for; time
    that belongs to none is "line" before the first stage (the caller's sound on its way in),
    "network" after the last, and "wait" between.
    """
    left = [stage for stage in stages if stage[1] < end_ns and stage[2] > start_ns]
    path: list[Segment] = []
    cursor = end_ns
    while cursor > start_ns:
        ended = [stage for stage in left if stage[2] <= cursor + _EPSILON_NS and stage[1] < cursor]
        if not ended:
            path.append(Segment("line" if path else "all", (cursor - start_ns) / 1e6))
            break
        # Of stages that end together the shorter one is the cause: it could not start earlier.
        chosen = max(ended, key=lambda stage: (stage[2], stage[1]))
        left.remove(chosen)
        name, begun, finished = chosen
        if finished < cursor - _EPSILON_NS:
            path.append(Segment("wait" if path else "network", (cursor - finished) / 1e6))
            cursor = finished
        begun = max(begun, start_ns)
        if begun < cursor:
            path.append(Segment(name, (cursor - begun) / 1e6))
            cursor = begun
    return path[::-1]


def assemble(
    trace: CallTrace,
    scenario: Scenario,
    events: Sequence[pb.ConversationEvent] | None,
    hear: Callable[[Samples], str] | None,
) -> Conversation:
    """A finished call's conversation. `events` None: not watched; `hear` None: answers not recognised."""
    audio = measure.BotAudio(trace)
    conversation = Conversation(
        trace, audio, measure.reception(trace, audio), measure.greeting(trace, audio), [], list(events or ())
    )
    if not trace.answered:
        conversation.failures.append(f"the call was not answered (SIP status {trace.status})")
    for index, planned in enumerate(scenario.turns):
        turn = _turn(conversation, index, planned, events, hear)
        conversation.turns.append(turn)
        if trace.answered:
            turn.failures.extend(_unmet(turn, planned, conversation, watched=events is not None))
    return conversation


def _span(trace: CallTrace, index: int) -> tuple[Mark | None, int, int]:
    """The mark of a scenario turn and when the turn began and ended."""
    marks = [mark for mark in trace.marks if mark.turn == index]
    later = [mark.started_ns for mark in trace.marks if mark.turn > index]
    ended = trace.ended_ns or (trace.sent_ns[-1] if trace.sent_ns else 0)
    until = min(later, default=ended)
    # An interruption's turn begins when its line does; the answer before belongs to the turn before.
    return (marks[-1] if marks else None), (marks[0].started_ns if marks else trace.acknowledged_ns), until


def _turn(
    conversation: Conversation,
    index: int,
    planned: ScenarioTurn,
    events: Sequence[pb.ConversationEvent] | None,
    hear: Callable[[Samples], str] | None,
) -> Turn:
    trace, audio = conversation.trace, conversation.audio
    mark, began, until = _span(trace, index)
    turn = Turn(
        index, mark.kind if mark else (planned.actions or ("greeting",))[0], mark.said if mark else ""
    )
    first_ns: int | None = None
    if mark is not None and mark.speech_ended_ns:
        found = measure.answer(audio, mark, until)
        first_ns, turn.voice_to_voice_ms = found.first_sample_ns, found.voice_to_voice_ms
        turn.overlapped, turn.talked_over, turn.tones = found.overlapped, found.talked_over, found.tones
        turn.said_seconds = (mark.speech_ended_ns - mark.speech_started_ns) / 1e9
        if mark.kind == "interrupt":
            turn.silent_ms = measure.silence_ms(audio, mark)
    elif not planned.actions:
        first_ns = audio.first_audible(0, until)
    answered_from = mark.speech_ended_ns if mark and mark.speech_ended_ns else began
    if hear is not None and first_ns is not None:
        turn.answer = hear(audio.between(answered_from, until))
    if events is not None and mark is not None:
        _add_watched(turn, mark, first_ns, until, events)
    return turn


def _add_watched(
    turn: Turn, mark: Mark, first_ns: int | None, until_ns: int, events: Sequence[pb.ConversationEvent]
) -> None:
    inside = [event for event in events if mark.started_ns <= event.at_ns < until_ns]
    if mark.kind in ("say", "interrupt"):
        finals = [e.caller_heard.text for e in inside if e.WhichOneof("event") == "caller_heard"
                  and e.caller_heard.final]  # fmt: skip
        turn.heard = " ".join(finals)
        turn.misheard = words.word_errors(turn.said, turn.heard)[0] > 0
    timed = [e.turn_timed for e in inside if e.WhichOneof("event") == "turn_timed"]
    if not timed or first_ns is None:
        return
    answer = min(timed, key=lambda t: abs(first_ns - t.first_audio_ns))
    turn.withdrawn = answer.withdrawn
    stages = [(stage.name, stage.start_ns, stage.end_ns) for stage in answer.stages]
    turn.stages = {name: round((end - start) / 1e6, 1) for name, start, end in stages}
    if turn.voice_to_voice_ms is not None:
        turn.segments = critical_path(stages, mark.speech_ended_ns, first_ns)
        turn.stages["network"] = round(max(0, first_ns - answer.first_audio_ns) / 1e6, 1)


def _unmet(turn: Turn, planned: ScenarioTurn, conversation: Conversation, watched: bool) -> list[str]:
    expect, missing = planned.expect, []
    mark, _, _ = _span(conversation.trace, turn.index)
    if mark is None and planned.actions:
        return ["the call was over before this turn"]
    missing += _unmet_answer(turn, planned, conversation)
    if mark is not None and mark.missed:
        missing.append("the bot was not speaking, so nothing was interrupted")
    if expect.silent_within_ms is not None:
        if turn.silent_ms is None:
            missing.append("the bot was silent before the interruption")
        elif turn.silent_ms > expect.silent_within_ms:
            missing.append(f"silent after {turn.silent_ms:.0f} ms, not {expect.silent_within_ms}")
    if watched:
        missing += [
            f"{phrase!r} was not heard"
            for phrase in expect.heard
            if not words.contains(turn.heard or "", phrase)
        ]
    referred = conversation.trace.referred_to
    if expect.transferred_to is not None and expect.transferred_to not in referred:
        missing.append(f"not transferred to {expect.transferred_to!r}: {referred or 'no REFER came'}")
    missing += _unmet_end(expect, mark, conversation.trace)
    return missing


def _unmet_answer(turn: Turn, planned: ScenarioTurn, conversation: Conversation) -> list[str]:
    expect, missing = planned.expect, []
    greeting = not planned.actions
    waited = conversation.greeting.first_audible_ms if greeting else turn.voice_to_voice_ms
    speaks = greeting or bool({"say", "interrupt", "digits"} & set(planned.actions))
    if waited is None and expect.answered and speaks:
        missing.append("the bot was still speaking" if turn.overlapped else "no answer")
    elif waited is not None and expect.answer_within_ms is not None and waited > expect.answer_within_ms:
        missing.append(f"answered after {waited:.0f} ms, not {expect.answer_within_ms}")
    if expect.answer and not any(words.contains(turn.answer, phrase) for phrase in expect.answer):
        wanted = " or ".join(repr(phrase) for phrase in expect.answer)
        missing.append(f"the answer has no {wanted}: {turn.answer!r}")
    return missing


def _unmet_end(expect: Expect, mark: Mark | None, trace: CallTrace) -> list[str]:
    if expect.ends_within_ms is None:
        return []
    if trace.ended_by != "bot" or mark is None:
        return ["the bot did not end the call"]
    took = (trace.ended_ns - (mark.speech_ended_ns or mark.started_ns)) / 1e6
    return (
        [] if took <= expect.ends_within_ms else [f"ended after {took:.0f} ms, not {expect.ends_within_ms}"]
    )


def percentiles(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Median and 95th percentile (linear between ranks); None of nothing."""
    if not values:
        return None, None
    p50, p95 = np.percentile(np.array(values), [50, 95])
    return round(float(p50), 1), round(float(p95), 1)


def spoken_latencies(turns: Sequence[Turn]) -> list[float]:
    """Voice-to-voice times of the turns that were spoken (keys are no voice)."""
    return [
        t.voice_to_voice_ms
        for t in turns
        if t.kind in ("say", "interrupt") and t.voice_to_voice_ms is not None
    ]


def as_dict(conversation: Conversation) -> dict[str, Any]:
    """call.json and `--json`: JSON types only; digits appear as they were shown."""
    trace, reception, gaps = conversation.trace, conversation.reception, conversation.reception.gaps
    p50, p95 = percentiles(spoken_latencies(conversation.turns))
    return {
        "passed": conversation.passed,
        "p50_ms": p50,
        "p95_ms": p95,
        "failures": conversation.failures,
        "sip_call_id": trace.sip_call_id,
        "sip_status": trace.status,
        "ended_by": trace.ended_by,
        "codec": trace.codec,
        "referred_to": trace.referred_to,
        "greeting": {
            "first_packet_ms": _round(conversation.greeting.first_packet_ms),
            "first_audible_ms": _round(conversation.greeting.first_audible_ms),
        },
        "rtp": {
            "packets": reception.packets,
            "lost": reception.lost,
            "duplicated": reception.duplicated,
            "reordered": reception.reordered,
            "gap_p50_ms": _round(gaps.p50_ms) if gaps else None,
            "gap_p99_ms": _round(gaps.p99_ms) if gaps else None,
            "gap_max_ms": _round(gaps.max_ms) if gaps else None,
            "late_sends": trace.late_sends,
        },
        "turns": [turn_as_dict(turn) for turn in conversation.turns],
    }


def turn_as_dict(turn: Turn) -> dict[str, Any]:
    """One turn of `as_dict`."""
    return {
        "turn": turn.index + 1,
        "kind": turn.kind,
        "said": turn.said,
        "heard": turn.heard,
        "misheard": turn.misheard,
        "answer": turn.answer,
        "said_seconds": round(turn.said_seconds, 2),
        "voice_to_voice_ms": _round(turn.voice_to_voice_ms),
        "silent_ms": _round(turn.silent_ms),
        "stages": turn.stages,
        "path": [{"stage": segment.name, "ms": round(segment.ms, 1)} for segment in turn.segments],
        "withdrawn": turn.withdrawn,
        "tones": turn.tones,
        "overlapped": turn.overlapped,
        "talked_over": turn.talked_over,
        "unmet": turn.failures,
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
