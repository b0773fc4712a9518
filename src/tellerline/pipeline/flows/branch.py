"""Where a branch is and when it is open."""

from __future__ import annotations

from tellerline import language
from tellerline.language import speech
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Key, Said
from tellerline.pipeline.flows.flow import Flow
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State
from tellerline.rpc import banking_pb2 as pb


async def begin(desk: Desk, state: State, said: Said) -> Plan:
    """The branch at the place that was named, or the main one: its address and hours."""
    if desk.bank is None:
        return desk.answer(state.open(), desk.say("opening_hours"))
    place = _place(desk, said.text)
    branches = await desk.reads.branches(place, desk.code, desk.speculative)
    if not branches and place:
        lines = desk.say("no_branch")
        branches = await desk.reads.branches("", desk.code, desk.speculative)
    else:
        lines = desk.say("let_me_see")
    if not branches:
        return desk.anything_else(state, desk.say("opening_hours"))
    branch = branches[0]
    where = desk.say("branch_at", name=branch.name, address=_address(desk, branch.address))
    hours = desk.hours(branch)
    when = desk.say("branch_hours", hours=hours) if hours else ()
    return desk.anything_else(state, lines, where, when)


async def go_on(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    """One answer is all there is."""
    return None


def _place(desk: Desk, text: str) -> str:
    """The words after the last "in", "near" and their like, or the name before "şubesi"; else ""."""
    commands, words = desk.words.commands, language.words(text)
    begins = [index for index, word in enumerate(words) if word in commands["place_after"]]
    if begins:
        return " ".join(words[begins[-1] + 1 :])
    ends = [index for index, word in enumerate(words) if index and word in commands["place_before"]]
    place = words[ends[0] - 1].partition("'")[0] if ends else ""
    return "" if place in commands["place_stops"] else place


def _address(desk: Desk, address: str) -> str:
    """House numbers as words; longer figures, a postcode perhaps, are left out."""
    words = []
    for word in address.split():
        digits = word.strip(",.")
        if digits.isdigit():
            if len(digits) > 4:
                continue
            word = word.replace(digits, speech.say_number(int(digits), desk.code))
        words.append(word)
    return " ".join(words)


FLOW = Flow("branch", pb.AuthenticationReply.NOBODY, begin, go_on)
