"""What a caller may ask for at any moment, and what keeps a conversation polite."""

from __future__ import annotations

from dataclasses import replace

from tellerline import language
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.plan import HangUp, Plan
from tellerline.pipeline.flows.state import State


def repeat(desk: Desk, state: State) -> Plan:
    """The last answer again."""
    if not state.said:
        return Plan(state, desk.say("nothing_to_repeat"))
    return Plan(state, state.said)


def slower(desk: Desk, state: State) -> Plan:
    """The last answer again, slowly, and all that follow."""
    state = replace(state, slow=True)
    return Plan(state, (*desk.say("slower"), *state.said))


def cancel(desk: Desk, state: State) -> Plan:
    """Drops what was under way."""
    return desk.answer(state.open(), ask=desk.say("cancelled"))


def goodbye(desk: Desk, state: State) -> Plan:
    """The end, unless the caller parts from us only, waiting for somebody else."""
    if state.ringing:
        return desk.answer(state, desk.say("transferring"))
    plan = desk.answer(state.open(), desk.say("goodbye"))
    return plan.having(after=(HangUp("goodbye"),))


def nothing_more(desk: Desk, state: State) -> Plan:
    """ "No" to "Is there anything else?"."""
    return goodbye(desk, state)


def hello(desk: Desk, state: State) -> Plan:
    """Greets back."""
    return desk.answer(state.open(), ask=desk.say("hello"))


def help_(desk: Desk, state: State) -> Plan:
    """What can be done here; on the keypad, with which key."""
    return desk.answer(state.open(), ask=desk.menu() if state.keypad else desk.say("help"))


def chosen_language(desk: Desk, state: State, text: str) -> str:
    """The language asked for; without a name the next one of the site; "" where there is no other."""
    heard = set(language.words(text))
    for code, names in desk.words.commands.get("languages", {}).items():
        if heard & set(names):
            return code if code in desk.site.languages else ""
    others = [code for code in desk.site.languages if code != state.language]
    return others[0] if others else ""
