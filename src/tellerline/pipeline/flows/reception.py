"""Where flows begin: with who is calling where that has to be known first, and again where words failed."""

from __future__ import annotations

from dataclasses import replace

from tellerline.pipeline.bank import BankAway, Refused
from tellerline.pipeline.flows import (
    authentication,
    balance,
    bill,
    branch,
    card_delivery,
    lost_card,
    stepping_down,
    transactions,
    transfer,
)
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Said
from tellerline.pipeline.flows.flow import Flow
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import Goal, State
from tellerline.rpc import banking_pb2 as pb

FLOWS: dict[str, Flow] = {
    flow.name: flow
    for flow in (
        balance.FLOW,
        transactions.FLOW,
        card_delivery.FLOW,
        lost_card.FLOW,
        bill.FLOW,
        transfer.FLOW,
        branch.FLOW,
    )
}
WITH_THE_BANK = stepping_down.WITH_THE_BANK


def settled(state: State) -> bool:
    return state.flow in FLOWS and state.step in FLOWS[state.flow].settled


async def begin(
    desk: Desk,
    state: State,
    intent: str,
    said: Said,
    slots: dict[str, object] | None = None,
    asked: bool = True,
) -> Plan:
    """Begins a flow, with who is calling if that has to be known first."""
    flow = FLOWS[intent]
    if asked:
        state = state.wants(intent)
    if desk.bank is None:
        known = intent in ("branch", "lost_card")
        phrase = desk.say("opening_hours" if intent == "branch" else "lost_card")
        return desk.answer(state.open(), phrase) if known else Plan(state.open(), ask_model=said.text)
    state = replace(state, goal=None).at(intent, "", **(slots or {}))
    if flow.level > state.level:
        return authentication.begin(desk, state, Goal(intent, said.text, dict(slots or {})), flow.level)
    try:
        return await flow.begin(desk, state, said)
    except Refused as error:
        goal = Goal(intent, said.text, dict(slots or {}))
        return refused(desk, state, error.refusal, goal)


def refused(desk: Desk, state: State, refusal: int, goal: Goal) -> Plan:
    """The caller has to prove who they are, again perhaps; or nothing can be done by telephone now."""
    state = replace(state, dark_id=0, dark_purpose="")
    if refusal == pb.STALE:
        return authentication.again(desk, state, goal)
    if refusal == pb.NOT_AUTHENTICATED and goal.flow in FLOWS:
        state = replace(state, level=0)
        return authentication.begin(desk, state, goal, FLOWS[goal.flow].level)
    return desk.anything_else(state, desk.say("closed"))


async def go_for_goal(desk: Desk, state: State) -> Plan:
    goal = state.goal or Goal("open")
    state = replace(state, goal=None)
    if goal.flow not in FLOWS:
        return desk.anything_else(state)
    try:
        return await begin(desk, state, goal.flow, Said(goal.text), goal.slots, asked=False)
    except BankAway:
        # The caller is known by now, and is not to be asked again.
        return desk.answer(state.open(), desk.say("bank_away"))


async def misunderstood(desk: Desk, state: State, phrase: tuple[str, ...]) -> Plan:
    """Asks again; on the keypad once speech has failed too often, and then of a person."""
    if state.failures >= stepping_down.FAILURES_LAST and state.step not in WITH_THE_BANK:
        return stepping_down.person(desk, replace(state, failures=0))
    if state.failures < stepping_down.FAILURES or not desk.keypad:
        question = state.question if state.flow != "open" else ()
        return Plan(state, (*phrase, *question))
    state = replace(state, keypad=True)
    if state.flow in FLOWS and state.step not in WITH_THE_BANK and not settled(state):
        begun = await begin(desk, state, state.flow, Said(""), state.slots)
        return begun.opened_by(*desk.say("not_understood"))
    return Plan(state, (*phrase, *desk.menu()))
