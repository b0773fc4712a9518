"""The customer's own language, where the bank knows it, the site speaks it, and the call is held in another.

Asked once, in that language, before what the caller wanted goes on. Only a plain yes changes anything: who
called another number, or lent somebody the telephone, goes on as they began.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from tellerline import language
from tellerline.pipeline.bank import BankAway, Refused
from tellerline.pipeline.flows import choosing, reception
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Event, Key, Said
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State
from tellerline.rpc import banking_pb2 as pb

FLOW = "language"
# What is meant by these is meant in any language.
BESIDE = frozenset({"human", "repeat", "slower", "goodbye"})


async def asked(desk: Desk, state: State) -> Plan | None:
    """The question, for a caller who was just authenticated; None where there is nothing to ask."""
    if state.language_settled or len(desk.site.languages) < 2:
        return None
    if state.level < pb.AuthenticationReply.AUTHENTICATED:
        return None
    theirs = ""
    with contextlib.suppress(BankAway, Refused):
        theirs = (await desk.reads.authentication()).language
    if theirs == state.language or theirs not in desk.site.languages:
        return None
    spoken = replace(desk, words=language.load(theirs))
    state = replace(state, language=theirs, language_settled=True).at(FLOW, back=state.language)
    return spoken.answer(state, ask=spoken.say("go_on_in_this_language"))


async def go_on(desk: Desk, state: State, event: Event) -> Plan:
    """On with what the caller wanted, in the language they want."""
    agreed = isinstance(event, (Said, Key)) and choosing.agrees(desk, event)
    if not agreed:
        state = replace(state, language=str(state.slots["back"]))
        desk = replace(desk, words=language.load(state.language))
    return (await reception.go_for_goal(desk, state)).opened_by(*desk.say("thank_you"))
