"""The conversation in the terminal: lines as they happen, and a bar of each turn's milliseconds."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from tellerline.robot.conversation import Conversation, Segment, Turn
from tellerline.robot.machine import Use
from tellerline.robot.process import Event
from tellerline.rpc import conversation_pb2 as pb

_COLOURS = {
    "line": "grey50",
    "endpoint": "yellow",
    "recognition": "cyan",
    "confirm": "bright_yellow",
    "thinking": "magenta",
    "synthesis": "green",
    "gate": "bright_yellow",
    "send": "blue",
    "wait": "red",
    "network": "grey50",
    "all": "white",
}
_MS_A_CELL = 20


def bar(segments: Sequence[Segment], ms_a_cell: int = _MS_A_CELL) -> str:
    """Cells of each segment: its place is rounded, not its length, so that the whole is right."""
    cells, passed = "", 0.0
    for index, segment in enumerate(segments):
        passed += segment.ms
        cells += chr(ord("a") + index) * (round(passed / ms_a_cell) - len(cells))
    return cells


def coloured_bar(segments: Sequence[Segment]) -> Text:
    """The bar in blocks, with the names and milliseconds behind it."""
    text = Text("    ")
    for cell in bar(segments):
        text.append("█", _COLOURS.get(segments[ord(cell) - ord("a")].name, "white"))
    for segment in segments:
        text.append(f" {segment.name} {segment.ms:.0f}", _COLOURS.get(segment.name, "white"))
    return text


class Live:
    """Prints events of one or more calls as they come."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def _print(self, who: str, what: str, style: str = "") -> None:
        line = Text(f"{who:>9}  ", style="dim")
        line.append(what, style)
        self._console.print(line)

    def event(self, event: Event) -> None:
        """What the caller does and the line tells."""
        if event.kind == "answered":
            self._print("line", "answered", "dim")
        elif event.kind == "ended":
            self._print("line", f"ended by the {event.text}" if " " not in event.text else event.text, "dim")
        elif event.kind == "say":
            self._print("caller", event.text, "bold")
        elif event.kind == "interrupt":
            self._print("caller", f"(interrupting) {event.text}", "bold yellow")
        elif event.kind == "digits":
            self._print("keypad", event.text, "bold")
        elif event.kind == "hold":
            self._print("line", "on hold", "dim")
        elif event.kind == "unhold":
            self._print("line", "taken off hold", "dim")
        elif event.kind == "transferred":
            self._print("line", f"transferred to {event.text}", "bold")
        elif event.kind in ("no_answer", "refused"):
            self._print("line", f"{event.kind.replace('_', ' ')} {event.text}", "red")

    def watched(self, event: pb.ConversationEvent) -> None:
        """What the stack heard and said."""
        kind = event.WhichOneof("event")
        if kind == "caller_heard" and event.caller_heard.final:
            self._print("heard", event.caller_heard.text, "cyan")
        elif kind == "bot_spoke":
            spoke = event.bot_spoke
            if spoke.interrupted:
                self._print("bot", f"{spoke.played or '…'} ✂ ", "green")
            elif spoke.text:
                self._print("bot", spoke.text, "green")
        elif kind == "understood":
            meant = event.understood
            self._print("", f"{meant.intent} {meant.probability:.2f} by the {meant.by}", "dim cyan")
        elif kind == "bank_asked":
            asked = event.bank_asked
            ahead = ", ahead of time" if asked.speculative else ""
            self._print("", f"bank: {asked.operation} {asked.outcome}, {asked.took_ms} ms{ahead}", "dim cyan")
        elif kind == "dark_input":
            outcome = pb.DarkInputResult.Outcome.Name(event.dark_input.outcome).lower()
            self._print("", f"dark input {outcome}", "dim cyan")
        elif kind == "barge_in":
            outcome = pb.BargeIn.Outcome.Name(event.barge_in.outcome).lower()
            self._print("", f"play-out {outcome}", "dim")
        elif kind == "turn_timed":
            timed = event.turn_timed
            self._print(
                "", f"first audio {(timed.first_audio_ns - timed.speech_ended_ns) / 1e6:.0f} ms", "dim"
            )


def summary(console: Console, conversation: Conversation, use: Use | None, watched: bool) -> None:
    """Every turn with its bar and verdict, then the line's figures."""
    console.print()
    for turn in conversation.turns:
        _turn(console, turn, conversation, watched)
    reception, gaps = conversation.reception, conversation.reception.gaps
    parts = [f"{reception.packets} packets", f"{reception.lost} lost"]
    if gaps:
        parts.append(f"gaps p50 {gaps.p50_ms:.1f} p99 {gaps.p99_ms:.1f} max {gaps.max_ms:.1f} ms")
    if conversation.trace.late_sends:
        parts.append(f"the robot sent {conversation.trace.late_sends} packets late")
    console.print(Text("RTP       " + ", ".join(parts), style="dim"))
    if use is not None:
        console.print(Text("machine   " + use_line(use), style="dim"))
    for failure in conversation.failures:
        console.print(Text(failure, style="red"))


def use_line(use: Use) -> str:
    """One line about the machine during a run."""
    foreign = "" if use.foreign_share is None else f", others {use.foreign_share:.0%}"
    return (
        f"busy {use.busy_share:.0%}, robot {use.robot_cpu_seconds / max(use.seconds, 1e-9):.1%} of a core"
        f"{foreign}, steal {use.steal_share:.1%}, load {use.load_1min:.1f}"
        + (f"; DISTURBED: {use.disturbed}" if use.disturbed else "")
    )


def _turn(console: Console, turn: Turn, conversation: Conversation, watched: bool) -> None:
    head = Text(f"{turn.index + 1:2} ")
    head.append({"say": "“", "interrupt": "✂ “"}.get(turn.kind, ""), "dim")
    head.append(turn.said or turn.kind, "bold")
    console.print(head)
    if watched and turn.misheard:
        console.print(Text(f"    misheard: {turn.heard or '(nothing)'}", style="yellow"))
    if turn.answer:
        console.print(Text(f"    → {turn.answer}", style="green"))
    waited = conversation.greeting.first_audible_ms if turn.kind == "greeting" else turn.voice_to_voice_ms
    if turn.silent_ms is not None:
        console.print(Text(f"    bot silent after {turn.silent_ms:.0f} ms", style="dim"))
    if waited is not None:
        console.print(Text(f"    {waited:.0f} ms", style="bold"), end="" if turn.segments else "\n")
        if turn.segments:
            console.print(coloured_bar(turn.segments))
    for failure in turn.failures:
        console.print(Text(f"    ✗ {failure}", style="red"))
