"""What happens to a conversation: words, keys, typed secrets, silence, the bank's answers to orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tellerline.rpc import banking_pb2 as bank


@dataclass(frozen=True)
class Guess:
    """What the router, or the model in its place, takes words for."""

    intent: str = "out_of_scope"
    probability: float = 0.0
    by: Literal["router", "model", "keypad", "flow"] = "flow"


@dataclass(frozen=True)
class Begin:
    """The call was answered; `unserved` where no model can hear, answer or speak now."""

    unserved: bool = False


@dataclass(frozen=True)
class Resumed:
    """The call comes from a pipeline that died; `dark_id` is dark input still under way at the connector."""

    dark_id: int = 0


@dataclass(frozen=True)
class Said:
    """The caller's words. `logprob` is the recogniser's mean over tokens, 0 where it gives none."""

    text: str
    logprob: float = 0.0
    guess: Guess = Guess()


@dataclass(frozen=True)
class Key:
    """One key, outside dark input."""

    digit: str


Outcome = Literal["accepted", "rejected", "timed_out", "cancelled", "unavailable"]


@dataclass(frozen=True)
class Typed:
    """Dark input ended. The digits are not known here and never will be."""

    dark_id: int
    outcome: Outcome


@dataclass(frozen=True)
class Unheard:
    """The caller spoke and no words came of it; `failed`: there is nobody to recognise them."""

    failed: bool = False


@dataclass(frozen=True)
class Unserved:
    """An answer did not come or could not be spoken: the model of this stage is away."""

    stage: Literal["language_model", "synthesis"]


@dataclass(frozen=True)
class Silence:
    """The caller says nothing; `last`: they were asked often enough."""

    last: bool = False


@dataclass(frozen=True)
class TransferEnded:
    """A handover came to its end; `accepted`: the caller is somebody else's now."""

    accepted: bool


@dataclass(frozen=True)
class Blocked:
    """What became of blocking a card; None: the bank could not be reached."""

    reply: bank.BlockCardReply | None


@dataclass(frozen=True)
class Quoted:
    """The bank's quote of an order; None: it could not be reached."""

    reply: bank.QuoteReply | None


@dataclass(frozen=True)
class Executed:
    """What became of an order; None: nobody knows."""

    reply: bank.ExecuteReply | None


Event = Begin | Resumed | Said | Key | Typed | Unheard | Unserved | Silence | TransferEnded
Result = Blocked | Quoted | Executed
