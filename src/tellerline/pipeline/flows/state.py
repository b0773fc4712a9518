"""Where a conversation stands: immutable, and all JSON, so that another process can go on with it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from tellerline.session.texts import redacted

# What was last said is kept for "repeat" and for taking a call over, and no longer than that.
REMEMBERED_INTENTS = 20
# Slots that die with their process.
_NEVER_STORED = ("readback", "typed")


@dataclass(frozen=True)
class Goal:
    """A flow to begin once it is known who is calling: what was said to begin it, and what is known of it.

    A caller's words are kept under the name "text", here and in slots: they are redacted by that name.
    """

    flow: str
    text: str = ""
    slots: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """One call's conversation. Slots hold bank references and amounts; never a digit typed in the dark.

    `flow` "open" means that the caller may ask for anything.
    """

    language: str = "en"
    # The caller has chosen it, or was asked about their own.
    language_settled: bool = False
    flow: str = "open"
    step: str = ""
    slots: dict[str, Any] = field(default_factory=dict)
    goal: Goal | None = None
    # As banking.proto's AuthenticationReply.Level; a hint that saves a question, banking decides.
    level: int = 0
    # The last answer, clause by clause, and the question it ended in.
    said: tuple[str, ...] = ()
    question: tuple[str, ...] = ()
    # Turns in a row that came to nothing.
    failures: int = 0
    # General questions in a row without an answer, and answers in a row that no voice could speak.
    unanswered: int = 0
    unspoken: int = 0
    # Speech has failed, or keys are what this caller uses: choices are offered by key.
    keypad: bool = False
    slow: bool = False
    # "off": the site records nobody; "notice": due or just given; then "on" or "refused".
    recording: Literal["off", "notice", "on", "refused"] = "off"
    intents: tuple[str, ...] = ()
    # A handover: under way, how many targets were tried, its reference and what it tells the person.
    ringing: bool = False
    targets_tried: int = 0
    reference: str = ""
    about: str = ""
    # Dark input under way: its id and what it is for.
    dark_id: int = 0
    dark_purpose: str = ""
    # Ids of dark input given so far.
    dark_ids: int = 0
    # Prompts in a row that a silent caller did not answer.
    silences: int = 0

    def at(self, flow: str, step: str = "", **slots: Any) -> State:
        """The same call at another place, with exactly these slots; failures are forgiven."""
        return replace(self, flow=flow, step=step, slots=slots, failures=0)

    def with_slots(self, **slots: Any) -> State:
        """The same place with these slots added."""
        return replace(self, slots={**self.slots, **slots})

    def open(self) -> State:
        """The caller may ask for anything."""
        return replace(self.at("open"), goal=None)

    def wants(self, intent: str) -> State:
        """Notes an intent, for the summary of a handover."""
        return replace(self, intents=(*self.intents, intent)[-REMEMBERED_INTENTS:])

    def to_json(self) -> str:
        """The state as one line of JSON, fit to be stored: the caller's words are redacted.

        What was said is left out, so no figures of an account are kept, and so are the keys of an amount
        half typed. A read-back is quoted and read anew by whoever takes the call over.
        """
        data = asdict(self)
        data["said"] = ()
        for slots in (data["slots"], (data["goal"] or {}).get("slots", {})):
            for name in _NEVER_STORED:
                slots.pop(name, None)
        for holder in (data["slots"], data["goal"] or {}, (data["goal"] or {}).get("slots", {})):
            if holder.get("text"):
                holder["text"] = redacted(str(holder["text"]), self.language)
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> State:
        """What `to_json` wrote. Fields of another release are passed over. Raises ValueError."""
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("a conversation's state must be a JSON object")
        known = {entry.name for entry in fields(cls)}
        kept = {name: value for name, value in data.items() if name in known}
        for name in ("said", "question", "intents"):
            if name in kept:
                kept[name] = tuple(kept[name])
        if kept.get("goal") is not None:
            kept["goal"] = Goal(**kept["goal"])
        return cls(**kept)
