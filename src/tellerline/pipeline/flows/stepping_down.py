"""What is left of a call when a model behind it is away: words first, then keys, and a person in the end.

Whatever is said here is a fixed phrase, which is in memory, but for a flow's own question: nobody may be left
to speak anything else.
"""

from __future__ import annotations

from dataclasses import replace

from tellerline.pipeline.flows import handover
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Unserved
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State

# What fails so often in a row gives way to the keypad; and so often, to a person.
FAILURES = 2
FAILURES_LAST = 4
# An order or a block is with the bank; its answer comes whatever is said meanwhile.
WITH_THE_BANK = frozenset({"quoting", "executing", "blocking"})


def unserved(desk: Desk, state: State, event: Unserved) -> Plan:
    """An answer was due and there is none.

    Questions to the language model are not all a caller can ask: flows, said or typed, work without it. They
    do not without a voice, so the second answer that stays unspoken is the last one.
    """
    if event.stage == "synthesis":
        state = replace(state, unspoken=state.unspoken + 1)
        keys, last = True, state.unspoken > 1
    else:
        state = replace(state, unanswered=state.unanswered + 1)
        keys, last = state.unanswered >= FAILURES, state.unanswered >= FAILURES_LAST
    if state.ringing:
        return Plan(state, desk.say("transferring"))
    if state.step in WITH_THE_BANK:
        return Plan(state, desk.say("one_moment"))
    if state.dark_id:
        return Plan(state, state.question)
    if last:
        return person(desk, state)
    apology = desk.say("apology")
    return Plan(_on_keys(desk, state), (*apology, *_menu(desk))) if keys else Plan(state, apology)


def keys_from_the_start(desk: Desk, greeted: Plan) -> Plan:
    """A call that comes while no model is there: the greeting, and then the menu, or a person without one."""
    if not _menu(desk):
        return person(desk, greeted.state).opened_by(*greeted.lines)
    state = _on_keys(desk, greeted.state)
    return replace(greeted, state=state, lines=(*greeted.lines, *_menu(desk)))


def person(desk: Desk, state: State) -> Plan:
    """Puts the caller through, once. Where nobody took the call, the keypad is what there is."""
    if desk.site.targets and not state.targets_tried:
        return handover.begin(desk, state)
    return Plan(_on_keys(desk, state), (*desk.say("nobody_free"), *_menu(desk)))


def _on_keys(desk: Desk, state: State) -> State:
    """The caller chooses anew: a question that was not heard cannot be answered."""
    return replace(state.open(), keypad=desk.keypad, question=())


def _menu(desk: Desk) -> tuple[str, ...]:
    return desk.menu() if desk.keypad and desk.bank is not None else ()
