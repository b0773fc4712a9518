"""A person takes over, knowing what was said; and what happens when nobody can."""

from __future__ import annotations

import secrets
from dataclasses import replace

from tellerline.pipeline.flows import choosing
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Key, Said
from tellerline.pipeline.flows.plan import CallBack, HandOver, Plan
from tellerline.pipeline.flows.state import State

_LEVELS = ("not identified", "customer number typed", "authenticated")


def begin(desk: Desk, state: State) -> Plan:
    """Puts the caller through to the first target, or says that nobody is free."""
    if state.ringing:
        return desk.answer(state, desk.say("transferring"))
    state = replace(state, targets_tried=0, reference=state.reference or reference(), about=summary(state))
    return _ring(desk, state, "transferring") if desk.site.targets else nobody(desk, state)


def failed(desk: Desk, state: State) -> Plan:
    """The target did not take the call: the next one, or nobody."""
    state = replace(state, ringing=False)
    if state.targets_tried < len(desk.site.targets):
        return _ring(desk, state, "trying_another")
    return nobody(desk, state)


def nobody(desk: Desk, state: State) -> Plan:
    """Nobody is free: a promise to call back where somebody will read of it, and the conversation goes on."""
    if not desk.site.keeps:
        return desk.answer(state.open(), ask=desk.say("nobody_free"))
    return desk.answer(state.at("handover", "callback"), ask=desk.say("callback_question"))


async def go_on(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    """Whether to call back."""
    if choosing.agrees(desk, event):
        plan = desk.anything_else(state, desk.say("callback_promised"))
        return plan.having(after=(CallBack(state.reference, state.about),))
    if isinstance(event, Key) or choosing.declines(desk, event):
        return desk.anything_else(state, desk.say("all_right"))
    return None


def _ring(desk: Desk, state: State, phrase: str) -> Plan:
    target = desk.site.targets[state.targets_tried]
    state = replace(state.open(), ringing=True, targets_tried=state.targets_tried + 1)
    handed = HandOver(target, state.reference, state.about)
    return desk.answer(state, desk.say(phrase)).having(after=(handed,))


def reference() -> str:
    """A fresh reference for User-to-User (RFC 7433): says nothing, and is hard to guess."""
    return secrets.token_hex(8)


def summary(state: State) -> str:
    """What an agent needs to know first. Made by code from what is known, in the words of the flows."""
    parts = [f"Language {state.language}.", f"Caller {_LEVELS[min(state.level, 2)]}."]
    if state.intents:
        parts.append(f"Asked for: {', '.join(dict.fromkeys(state.intents))}.")
    if state.flow not in ("open", "handover"):
        parts.append(f"Was at: {state.flow}{f', {state.step}' if state.step else ''}.")
    if amount := state.slots.get("amount"):
        parts.append(f"Amount {amount[0]} {amount[1]} (minor units).")
    return " ".join(parts)
