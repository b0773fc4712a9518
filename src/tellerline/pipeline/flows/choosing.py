"""Choosing one of several things: by words, by an ending, by a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tellerline.language import names
from tellerline.language.yes_no import is_agreement, is_no, is_yes
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Key, Said
from tellerline.pipeline.flows.state import State
from tellerline.rpc import banking_pb2 as pb

Held = TypeVar("Held", pb.Account, pb.Card)
Thing = TypeVar("Thing")

# The keypad has nine keys to choose with; zero is a person.
MOST_KEYS = 9
# Below this mean log-probability the recogniser doubts what it heard: no "yes" to money (tiny.en on clean
# lines: -0.1 to -0.5 for words that were said, docs/latency.md).
CONFIDENT_LOGPROB = -0.7


@dataclass(frozen=True)
class Named:
    """Something with a name, for the matching of names."""

    name: str
    index: int
    ending: str


def held(desk: Desk, event: Said | Key, things: Sequence[Held]) -> list[Held]:
    """The accounts or cards that are meant; the key counts in the order they were offered in."""
    if isinstance(event, Key):
        return by_key(event, things)
    return list(names.which_account(event.text, desk.code, things))


def named(desk: Desk, event: Said | Key, things: Sequence[Thing], called: Sequence[str]) -> list[Thing]:
    """The things whose names, `called`, are meant."""
    if isinstance(event, Key):
        return by_key(event, things)
    choices = [Named(name, i, getattr(things[i], "ending", "")) for i, name in enumerate(called)]
    found = names.which_payee(event.text, desk.code, choices)
    return [things[entry.index] for entry in found]


def by_key(key: Key, things: Sequence[Thing]) -> list[Thing]:
    """The thing of that number, counting from one."""
    number = int(key.digit) if key.digit.isdigit() else 0
    return [things[number - 1]] if 1 <= number <= min(len(things), MOST_KEYS) else []


def offer(desk: Desk, state: State, question: tuple[str, ...], things: Sequence[str]) -> tuple[str, ...]:
    """The question; on the keypad, which key chooses what instead."""
    if not state.keypad:
        return question
    return tuple(
        line
        for number, thing in enumerate(things[:MOST_KEYS], 1)
        for line in desk.say("press_for", thing=thing, number=desk.number(number))
    )


def agrees(desk: Desk, event: Said | Key) -> bool:
    """A yes, an "okay", or key one: enough for what moves no money."""
    if isinstance(event, Key):
        return event.digit == "1"
    return is_agreement(event.text, desk.code)


def confirms(desk: Desk, said: Said) -> bool:
    """A plain yes that moves money; "okay" is also said to show that one follows."""
    return is_yes(said.text, desk.code)


def declines(desk: Desk, event: Said | Key) -> bool:
    """A no, whatever follows it, or key two."""
    if isinstance(event, Key):
        return event.digit == "2"
    return is_no(event.text, desk.code)
