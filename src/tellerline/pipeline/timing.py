"""Where a turn's milliseconds went: monotonic marks, turned into the stages of TurnTimed."""

from __future__ import annotations

from typing import Literal

from tellerline.monitoring import metrics
from tellerline.rpc import conversation_pb2 as pb

Mark = Literal[
    "recognition_started",
    "transcript",
    "thinking_started",
    "first_clause",
    "first_samples",
    "confirmed",
    "released",
]


class TurnClock:
    """Marks of the turn being answered, in CLOCK_MONOTONIC nanoseconds. The first mark of a kind counts."""

    def __init__(self) -> None:
        self.withdrawn = 0
        self.start(0)

    def start(self, speech_ended_ns: int) -> None:
        """A text of the caller is asked for; their last sound was at `speech_ended_ns`."""
        self.speech_ended_ns = speech_ended_ns
        self._marks: dict[str, int] = {}

    def mark(self, name: Mark, at_ns: int) -> None:
        """Notes that `name` happened."""
        self._marks.setdefault(name, at_ns)

    def rethink(self) -> None:
        """The speculative answer was thrown away."""
        self.withdrawn += 1
        for name in ("thinking_started", "first_clause", "first_samples", "released"):
            self._marks.pop(name, None)

    def finish(self, first_audio_ns: int) -> pb.TurnTimed | None:
        """The stages of the turn whose first answer audio went to the connector; None if no turn runs."""
        marks = self._marks
        if not self.speech_ended_ns or "confirmed" not in marks:
            return None
        timed = pb.TurnTimed(
            speech_ended_ns=self.speech_ended_ns, first_audio_ns=first_audio_ns, withdrawn=self.withdrawn
        )
        ended = self.speech_ended_ns
        spans = [
            ("endpoint", ended, marks.get("recognition_started")),
            ("recognition", marks.get("recognition_started"), marks.get("transcript")),
            ("confirm", ended, marks["confirmed"]),
            ("thinking", marks.get("thinking_started"), marks.get("first_clause")),
            ("synthesis", marks.get("first_clause"), marks.get("first_samples")),
            ("gate", marks.get("first_samples"), marks.get("released", marks.get("first_samples"))),
            ("send", marks.get("released", marks.get("first_samples")), first_audio_ns),
        ]
        for name, start_ns, end_ns in spans:
            if start_ns is not None and end_ns is not None:
                timed.stages.append(pb.Stage(name=name, start_ns=start_ns, end_ns=end_ns))
                metrics.PIPELINE_STAGE_SECONDS.labels(name).observe(max(0, end_ns - start_ns) / 1e9)
        metrics.PIPELINE_RESPONSE_SECONDS.observe(max(0, first_audio_ns - ended) / 1e9)
        self.withdrawn = 0
        self.start(0)
        return timed


__all__ = ["Mark", "TurnClock"]
