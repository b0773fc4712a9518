"""Who is calling: a customer number and a PIN, typed in the dark, so that nobody but banking learns them."""

from __future__ import annotations

from dataclasses import replace

from tellerline.pipeline.flows import handover
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Guess, Typed
from tellerline.pipeline.flows.plan import Dark, Plan
from tellerline.pipeline.flows.state import Goal, State
from tellerline.rpc import banking_pb2 as pb

IDENTIFIED = pb.AuthenticationReply.IDENTIFIED
AUTHENTICATED = pb.AuthenticationReply.AUTHENTICATED
# A number that was begun and not ended with a hash is one that was not typed.
NUMBER_DIGITS = (4, 12)
PIN_DIGITS = (4, 8)
# The prompt, and time to find the letter with the number in it.
NUMBER_MS = 40_000
PIN_MS = 25_000
# How often nothing may be typed before a colleague takes over.
EMPTY_TRIES = 2


def begin(desk: Desk, state: State, goal: Goal, level: int) -> Plan:
    """Asks for what `level` still wants; `goal` follows once it is known.

    A caller without telephone-event gets no PIN prompt but a person.
    """
    state = replace(state.at("authentication", "", level=level, empty=0), goal=goal)
    if not desk.keypad:
        return handover.begin(desk, state.open()).opened_by(*desk.say("no_keypad"))
    if state.level >= IDENTIFIED and level > IDENTIFIED:
        return _ask_pin(desk, state, "ask_pin")
    return _ask_number(desk, state, "ask_customer_number").opened_by(*desk.say("first_who"))


def again(desk: Desk, state: State, goal: Goal) -> Plan:
    """Asks for the PIN once more: the caller has been idle for too long."""
    state = replace(state.at("authentication", "", level=AUTHENTICATED, empty=0), goal=goal, level=IDENTIFIED)
    return _ask_pin(desk, state, "ask_pin_again")


async def typed(desk: Desk, state: State, event: Typed) -> Plan | None:
    """What became of the digits. None: the caller is known well enough, and the goal may begin."""
    purpose, state = state.dark_purpose, replace(state, dark_id=0, dark_purpose="")
    match event.outcome:
        case "accepted" if purpose == "customer_number":
            state = replace(state, level=IDENTIFIED)
            return None if state.slots["level"] <= IDENTIFIED else _ask_pin(desk, state, "ask_pin")
        case "accepted":
            return None
        case "rejected":
            return await _rejected(desk, state)
        case "timed_out":
            return _nothing_typed(desk, state)
        case "cancelled":
            # Where zero is a digit this is what zero is elsewhere.
            plan = handover.begin(desk, state.wants("human"))
            return plan.having(guess=Guess("human", 1.0, "keypad"))
        case "unavailable":
            return handover.begin(desk, state.open()).opened_by(*desk.say("closed"))


def known(state: State) -> State:
    """The state of a caller whose digits were accepted."""
    level = IDENTIFIED if state.dark_purpose == "customer_number" else AUTHENTICATED
    return replace(state, dark_id=0, dark_purpose="", level=max(state.level, level))


def resumed(desk: Desk, state: State) -> Plan:
    """The same digits once more, for a call whose pipeline died while they were typed."""
    if state.dark_purpose == "pin":
        return _ask_pin(desk, state, "ask_pin")
    return _ask_number(desk, state, "ask_customer_number")


async def _rejected(desk: Desk, state: State) -> Plan:
    standing = await desk.reads.authentication()
    state = replace(state, level=0)
    if standing.locked:
        return handover.begin(desk, state.open()).opened_by(*desk.say("locked"))
    if standing.closed:
        return handover.begin(desk, state.open()).opened_by(*desk.say("closed"))
    return _ask_number(desk, state, "not_matched_last" if standing.last_attempt else "not_matched")


def _nothing_typed(desk: Desk, state: State) -> Plan:
    empty = int(state.slots.get("empty", 0)) + 1
    if empty >= EMPTY_TRIES:
        return handover.begin(desk, state.open())
    return _ask_number(desk, state.with_slots(empty=empty), "nothing_typed")


def _ask_number(desk: Desk, state: State, phrase: str) -> Plan:
    return _dark(desk, replace(state, step="customer_number"), phrase, NUMBER_DIGITS, NUMBER_MS)


def _ask_pin(desk: Desk, state: State, phrase: str) -> Plan:
    return _dark(desk, replace(state, step="pin"), phrase, PIN_DIGITS, PIN_MS)


def _dark(desk: Desk, state: State, phrase: str, digits: tuple[int, int], timeout_ms: int) -> Plan:
    # Ids go on where the call stands, in another pipeline too: an old answer matches no new question.
    dark_id = state.dark_ids + 1
    state = replace(state, dark_id=dark_id, dark_ids=dark_id, dark_purpose=state.step)
    dark = Dark(dark_id, state.step, *digits, timeout_ms)
    return desk.answer(state, ask=desk.say(phrase)).having(before=(dark,))
