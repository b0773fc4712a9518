"""What to do next: the state that comes of it, what to say, and what only a confirmed turn may set off."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tellerline.pipeline.flows.events import Guess
from tellerline.pipeline.flows.state import State


@dataclass(frozen=True)
class Block:
    """Block a card."""

    card_id: str


@dataclass(frozen=True)
class Quote:
    """Have an order quoted; exactly one of payee, own account and bill is given."""

    from_account_id: str
    payee_id: str = ""
    to_account_id: str = ""
    bill_id: str = ""
    minor_units: int = 0
    currency: str = ""


@dataclass(frozen=True)
class Execute:
    """Execute a quote that the caller has confirmed."""

    quote_id: str
    confirmed_by: Literal["keypad", "voice"]


Write = Block | Quote | Execute


@dataclass(frozen=True)
class Dark:
    """Take digits in the dark."""

    dark_id: int
    purpose: str
    min_digits: int
    max_digits: int
    timeout_ms: int = 20_000


@dataclass(frozen=True)
class CancelDark:
    """End dark input that nobody waits for any more."""

    dark_id: int


@dataclass(frozen=True)
class Menu:
    """Keys are to come up from here on."""


@dataclass(frozen=True)
class Record:
    """The caller was told and did not refuse, or did."""

    wanted: bool


@dataclass(frozen=True)
class HandOver:
    """Transfer the call; `summary` is for the agent's desktop, found by `reference`."""

    target: str
    reference: str
    summary: str


@dataclass(frozen=True)
class CallBack:
    """Somebody was promised a call: a handover without a transfer."""

    reference: str
    summary: str


@dataclass(frozen=True)
class HangUp:
    """End the call after what is said."""

    reason: str


Action = Dark | CancelDark | Menu | Record | HandOver | CallBack | HangUp


@dataclass(frozen=True)
class Plan:
    """What becomes of an event.

    `lines` may be heard as soon as the turn is confirmed; `before` happen before they are spoken, `after`
    once they were. `write` is run by `Teller.commit` alone, and brings a further plan.
    """

    state: State
    lines: tuple[str, ...] = ()
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    write: Write | None = None
    # The words are a general question: the language model answers `ask_model`.
    ask_model: str = ""
    guess: Guess = field(default_factory=Guess)
    # The state it was made in: once the call stands elsewhere, it has to be considered again.
    basis: State | None = None

    def having(self, **changes: Any) -> Plan:
        """The same plan with some of it changed."""
        return replace(self, **changes)

    def opened_by(self, *lines: str) -> Plan:
        """The same plan, saying `lines` first."""
        return replace(self, lines=(*lines, *self.lines))
