"""Keys: a menu over the same flows as words begin, choices in them, and a person on zero."""

from __future__ import annotations

from dataclasses import replace

from tellerline.pipeline.flows import courtesies, handover, hearing, preference, reception, transfer
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Guess, Key, Said
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State

# Key → intent, where the caller may ask for anything.
MENU = {
    "1": "branch",
    "2": "lost_card",
    "3": "card_delivery",
    "4": "balance",
    "5": "transactions",
    "6": "pay_bill",
    "7": "transfer",
    "8": "language",
    "9": "repeat",
    "0": "human",
}


async def pressed(desk: Desk, state: State, key: Key) -> Plan:
    """What to do about a key. Zero is a person at any moment; in an amount, a hash alone or two stars are."""
    if state.step in reception.WITH_THE_BANK:
        return Plan(state, desk.say("one_moment"))
    if state.flow == preference.FLOW and key.digit != "0":
        return await preference.go_on(desk, state, key)
    typing = state.flow == "transfer" and state.step == "amount"
    if typing:
        if transfer.gives_up(state, key):
            return handover.begin(desk, state.wants("human")).having(guess=Guess("human", 1.0, "keypad"))
    else:
        if key.digit == "0":
            return handover.begin(desk, state.wants("human")).having(guess=Guess("human", 1.0, "keypad"))
        if key.digit == "*":
            return _star(desk, state)
    if state.flow != "open" and not reception.settled(state):
        return await _key_in_flow(desk, state, key)
    return await _menu(desk, state, key)


def _star(desk: Desk, state: State) -> Plan:
    if state.recording in ("notice", "on") and state.flow == "open":
        return hearing.unrecorded(desk, state)
    return courtesies.cancel(desk, state)


async def _key_in_flow(desk: Desk, state: State, key: Key) -> Plan:
    plan = await hearing.go_on(desk, state, key)
    if plan is not None:
        return plan
    state = replace(state, failures=state.failures + 1)
    return await reception.misunderstood(desk, state, desk.say("not_understood"))


async def _menu(desk: Desk, state: State, key: Key) -> Plan:
    guess = Guess(MENU.get(key.digit, ""), 1.0, "keypad")
    if guess.intent == "repeat":
        return courtesies.repeat(desk, state).having(guess=guess)
    if guess.intent == "language" and courtesies.chosen_language(desk, state, ""):
        return hearing.in_language(desk, state, courtesies.chosen_language(desk, state, ""))
    if guess.intent in reception.FLOWS and (desk.bank is not None or guess.intent in ("branch", "lost_card")):
        state = replace(state, keypad=True)
        return (await reception.begin(desk, state, guess.intent, Said(""))).having(guess=guess)
    return Plan(state, desk.say("unknown_key") if desk.bank is None else desk.menu())
