"""Words: what they mean here and now, and which flow they belong to."""

from __future__ import annotations

from dataclasses import replace

from tellerline import language
from tellerline.pipeline.flows import choosing, courtesies, handover, preference, reception
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Guess, Key, Said
from tellerline.pipeline.flows.plan import Plan, Record
from tellerline.pipeline.flows.state import State
from tellerline.pipeline.turns import normalised
from tellerline.pipeline.understanding import Understanding, understand

# Heard at any moment, whatever was asked.
ANY_TIME = frozenset({"human", "repeat", "slower", "cancel", "goodbye", "language", "help"})
# "No, thank you, that is all": longer ones say something else as well.
_SHORT = 6
_CLARIFIABLE = frozenset({*reception.FLOWS, "human"})


async def heard(desk: Desk, state: State, said: Said, understanding: Understanding | None) -> Plan:
    """What to do about words. Without an understanding they are the language model's, but for a goodbye."""
    if normalised(said.text) in desk.words.goodbyes:
        return courtesies.goodbye(desk, state).having(guess=Guess("goodbye", 1.0, "flow"))
    if _refuses_recording(desk, state, said.text):
        return unrecorded(desk, state)
    if understanding is None:
        return Plan(replace(state, failures=0), ask_model=said.text)
    if state.step in reception.WITH_THE_BANK:
        return Plan(state, desk.say("one_moment"))
    guess, doubted = await understand(understanding, said.text, state.language)
    plan = await _mean(desk, state, replace(said, guess=guess), doubted)
    return plan if plan.guess.intent != "out_of_scope" else plan.having(guess=guess)


def _refuses_recording(desk: Desk, state: State, text: str) -> bool:
    if state.recording not in ("notice", "on"):
        return False
    heard = f" {normalised(text)} "
    return any(f" {words} " in heard for words in desk.words.commands["refuse_recording"])


def unrecorded(desk: Desk, state: State) -> Plan:
    """The caller does not want to be recorded."""
    state = replace(state, recording="refused")
    question = state.question if state.flow != "open" else ()
    return Plan(state, (*desk.say("not_recorded"), *question), before=(Record(False),))


async def _mean(desk: Desk, state: State, said: Said, doubted: Guess | None) -> Plan:
    intent = said.guess.intent
    if state.flow == preference.FLOW and intent not in preference.BESIDE:
        return await preference.go_on(desk, state, said)
    if intent in ANY_TIME and (plan := _any_time(desk, state, said)):
        return plan
    if state.flow != "open":
        settled = reception.settled(state)
        if intent == "out_of_scope" and not settled and _takes_back(desk, state, said.text):
            return courtesies.cancel(desk, state)
        if not (settled and intent in reception.FLOWS and intent != state.flow):
            plan = await go_on(desk, state, said)
            if plan is not None:
                return plan
        if intent not in reception.FLOWS and not settled:
            state = replace(state, failures=state.failures + 1)
            return await reception.misunderstood(desk, state, desk.say("not_understood"))
    return await _from_the_open(desk, replace(state, goal=None), said, doubted)


def _takes_back(desk: Desk, state: State, text: str) -> bool:
    # "Cancel my card" is what some say who have lost it.
    if state.flow in ("handover", "lost_card") or len(text.split()) > _SHORT:
        return False
    heard = f" {normalised(text)} "
    return any(f" {words} " in heard for words in desk.words.commands["cancel"])


async def go_on(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    """What the flow under way makes of the event; None for nothing."""
    if state.flow == "handover":
        return await handover.go_on(desk, state, event)
    if state.flow == "clarify":
        return await _clarified(desk, state, event)
    if state.flow == "authentication":
        # Digits are awaited; what is said or pressed beside them is asked to wait.
        return Plan(state, state.question)
    return await reception.FLOWS[state.flow].go_on(desk, state, event)


async def _from_the_open(desk: Desk, state: State, said: Said, doubted: Guess | None) -> Plan:
    intent = said.guess.intent
    if intent in reception.FLOWS:
        return await reception.begin(desk, state, intent, said)
    if state.ringing:
        # They wait for a person; "thank you" is no reason to keep them.
        return desk.answer(state, desk.say("transferring"))
    if intent == "no" or (choosing.declines(desk, said) and len(said.text.split()) <= _SHORT):
        return courtesies.nothing_more(desk, state)
    if intent == "greeting":
        return courtesies.hello(desk, state)
    if intent in ("yes", "correct") or choosing.agrees(desk, said):
        return courtesies.help_(desk, state)
    if doubted is not None and doubted.intent in _CLARIFIABLE:
        want = desk.say(f"want_{doubted.intent}")[0]
        state = state.at("clarify", "", intent=doubted.intent, text=said.text)
        question = desk.say("do_you_want", want=want[:1].lower() + want[1:])
        return desk.answer(state, ask=question).having(guess=doubted)
    return Plan(state.open(), ask_model=said.text)


async def _clarified(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    intent, text = str(state.slots["intent"]), str(state.slots["text"])
    if choosing.agrees(desk, event):
        if intent == "human":
            return handover.begin(desk, state.wants("human"))
        return await reception.begin(desk, state, intent, Said(text))
    if isinstance(event, Key) or choosing.declines(desk, event):
        return courtesies.cancel(desk, state)
    return await _from_the_open(desk, state.open(), event, None)


def _any_time(desk: Desk, state: State, said: Said) -> Plan | None:
    match said.guess.intent:
        case "human":
            return handover.begin(desk, state.wants("human"))
        case "repeat":
            return courtesies.repeat(desk, state)
        case "slower":
            return courtesies.slower(desk, state)
        case "cancel" if state.flow != "handover":
            return courtesies.cancel(desk, state)
        case "goodbye":
            return courtesies.goodbye(desk, state)
        case "help" if state.flow == "open" or reception.settled(state):
            return courtesies.help_(desk, state)
        case "language":
            code = courtesies.chosen_language(desk, state, said.text)
            return in_language(desk, state, code) if code else None
    return None


def in_language(desk: Desk, state: State, code: str) -> Plan:
    """Goes on in language `code`."""
    state = replace(state, language=code, language_settled=True)
    desk = replace(desk, words=language.load(code))
    return courtesies.hello(desk, state)
