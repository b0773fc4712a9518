"""What turn taking is told and what it asks for: events in, actions out, in ms of caller audio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# ---- events


@dataclass(frozen=True)
class Window:
    """32 ms of caller audio ending at `at_ms`."""

    at_ms: int
    probability: float
    # An answer is due or being played.
    bot_has_floor: bool = False
    # The caller was asked to wait: their silence is no riddle.
    caller_waits: bool = False


@dataclass(frozen=True)
class Transcript:
    """The recogniser's answer to FinalizeRecognition(sequence); empty text means no speech."""

    at_ms: int
    sequence: int
    text: str
    # Mean log-probability of its tokens; 0 where the recogniser has none.
    avg_logprob: float = 0.0


@dataclass(frozen=True)
class RecognitionFailed:
    """The recogniser is gone; the utterance is lost."""


@dataclass(frozen=True)
class Verdict:
    """The turn model's answer to CheckTurn(sequence)."""

    at_ms: int
    sequence: int
    complete: bool


@dataclass(frozen=True)
class KeyPressed:
    """A keypad digit: it acts at once and voids whatever was being said."""


@dataclass(frozen=True)
class Held:
    """The line no longer carries the caller: they put us on hold, or the call is being ended."""


@dataclass(frozen=True)
class Unheld:
    """The line carries the caller again."""


Event = Window | Transcript | RecognitionFailed | Verdict | KeyPressed | Held | Unheld


# ---- actions


@dataclass(frozen=True)
class PausePlayout:
    """Silence the bot at once; keep what it has not said."""


@dataclass(frozen=True)
class ResumePlayout:
    """Let the bot go on where it was paused."""


@dataclass(frozen=True)
class StartRecognition:
    """Open an utterance, with the audio since `since_ms`."""

    since_ms: int


@dataclass(frozen=True)
class FinalizeRecognition:
    """Ask for the text of the utterance so far."""

    sequence: int


@dataclass(frozen=True)
class StopRecognition:
    """Close the utterance."""


@dataclass(frozen=True)
class CheckTurn:
    """Ask the turn model whether the caller has finished."""

    sequence: int


@dataclass(frozen=True)
class Interrupt:
    """The caller took the floor: flush the bot, open the caller's turn."""


@dataclass(frozen=True)
class Speculate:
    """Start answering `text`, to be held until Confirm."""

    text: str


@dataclass(frozen=True)
class Withdraw:
    """Throw the speculative answer away."""


@dataclass(frozen=True)
class Confirm:
    """The turn is over with `text`; an answer speculated for it may be heard."""

    text: str


@dataclass(frozen=True)
class Abandon:
    """The caller's turn came to nothing."""

    # "unheard": no words in the end; "failed": the recogniser is gone; "key": a digit took its place;
    # "held": the line fell silent.
    why: Literal["unheard", "failed", "key", "held"]


@dataclass(frozen=True)
class PromptSilentCaller:
    """Nobody has spoken for a while; `last` asks for a goodbye."""

    last: bool


Action = (
    PausePlayout
    | ResumePlayout
    | StartRecognition
    | FinalizeRecognition
    | StopRecognition
    | CheckTurn
    | Interrupt
    | Speculate
    | Withdraw
    | Confirm
    | Abandon
    | PromptSilentCaller
)
