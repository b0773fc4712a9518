"""The conversation with a caller, without audio: events in, plans out; only a commit changes anything.

Theory of operation. `consider` may be asked about words that are not known to be the caller's last: it
routes them, parses them and asks the bank read-only questions, and leaves no trace here. `commit` makes a
plan's state the state of the call and runs what it writes (blocking a card, a quote, an execution), which
brings a further plan. What is said before a caller is known is what a flow says, word for word; the language
model's words never get here: it answers general questions by itself, and may name one of the intents.

    event ─▶ consider ─▶ Plan(state, lines, actions, write) ─▶ commit ─▶ Plan … ─▶ None
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date

from tellerline import language
from tellerline.pipeline.bank import BankAway, CallsBank, Refused
from tellerline.pipeline.flows import (
    authentication,
    handover,
    hearing,
    keypad,
    money,
    preference,
    reception,
    stepping_down,
)
from tellerline.pipeline.flows.desk import Desk, Site
from tellerline.pipeline.flows.events import (
    Begin,
    Event,
    Key,
    Resumed,
    Said,
    Silence,
    TransferEnded,
    Typed,
    Unheard,
    Unserved,
)
from tellerline.pipeline.flows.plan import (
    CancelDark,
    HangUp,
    Menu,
    Plan,
    Record,
)
from tellerline.pipeline.flows.state import Goal, State
from tellerline.pipeline.flows.writing import Writer
from tellerline.pipeline.turns import normalised
from tellerline.pipeline.understanding import Understanding

log = logging.getLogger(__name__)


class Teller:
    """One call's conversation. `state` is where it stands; `consider` changes nothing, `commit` does."""

    def __init__(
        self,
        state: State,
        site: Site,
        bank: CallsBank | None,
        understanding: Understanding | None,
        *,
        keypad: bool = True,
        today: Callable[[], date] = date.today,
    ) -> None:
        self.state = state
        self._site = site
        self._bank = bank
        self._understanding = understanding
        self._has_keypad = keypad
        self._today = today
        self._writer = Writer(bank) if bank is not None else None
        self._lines: tuple[str, ...] = ()
        self._heard = ""
        self._heard_out = False
        self._noticed = False

    # ---- what the world tells

    def played(self, text: str, interrupted: bool) -> None:
        """`text` is what the caller heard of an answer, `interrupted` whether they cut it short."""
        self._heard = text
        heard = normalised(text)
        self._heard_out = not interrupted and bool(self._lines) and normalised(" ".join(self._lines)) in heard
        words = language.load(self.state.language)
        if self.state.unspoken and self._heard_out and not {*self._lines} <= {*words.phrases.values()}:
            # There is a voice again.
            self.state = replace(self.state, unspoken=0)
        if normalised(words.phrases["recording_notice"]) in heard:
            self._noticed = True

    async def consider(self, event: Event, speculative: bool = False) -> Plan:
        """What to do about `event`. Changes nothing, here or at the bank."""
        desk = self._desk(speculative)
        try:
            plan = await self._answer(desk, event)
        except Refused as refused:
            plan = reception.refused(desk, self.state, refused.refusal, self._goal(event))
        except BankAway as away:
            log.warning("%s", away)
            plan = desk.answer(self.state.open(), desk.say("bank_away"))
        return replace(self._finished(desk, event, plan), basis=self.state)

    async def commit(self, plan: Plan) -> Plan | None:
        """Makes `plan` true and runs what it writes. The plan that comes of that, not yet committed."""
        self.state = plan.state
        if plan.lines:
            self._lines, self._heard, self._heard_out = plan.lines, "", False
        if plan.write is None:
            return None
        desk = self._desk(False)
        try:
            assert self._writer is not None
            result = await self._writer.run(plan.write)
        except Refused as refused:
            goal = Goal(self.state.flow, slots=money.known(self.state))
            further = reception.refused(desk, self.state, refused.refusal, goal)
        else:
            written = reception.FLOWS[self.state.flow].written
            assert written is not None
            further = written(desk, self.state, result)
        return replace(self._finished(desk, None, further), basis=self.state)

    def answered(self, text: str) -> None:
        """The language model has answered a general question; `text` is what was heard of that."""
        self.state = replace(self.state, said=(text,), unanswered=0)

    def transfer_taken_back(self) -> None:
        """The caller pressed another key before the announced handover began."""
        self.state = replace(self.state, ringing=False)

    # ---- finishing a plan

    def _desk(self, speculative: bool) -> Desk:
        return Desk(
            language.load(self.state.language),
            self._bank,
            self._site,
            self._today(),
            speculative,
            self._has_keypad,
            self._heard,
            self._heard_out,
        )

    def _finished(self, desk: Desk, event: Event | None, plan: Plan) -> Plan:
        plan = self._with_notice(desk, event, plan)
        if plan.lines:
            plan = plan.having(state=replace(plan.state, said=plan.lines))
        if not isinstance(event, Silence):
            plan = plan.having(state=replace(plan.state, silences=0))
        if self.state.dark_id and not plan.state.dark_id and not isinstance(event, Typed):
            plan = plan.having(before=(CancelDark(self.state.dark_id), *plan.before))
        if not plan.state.dark_id:
            # Keys come up again, before the prompt that asks for them.
            plan = plan.having(before=(*plan.before, Menu()))
        return plan

    def _with_notice(self, desk: Desk, event: Event | None, plan: Plan) -> Plan:
        """Recording starts with the first thing a caller does who has heard that they are recorded."""
        if plan.state.recording != "notice" or not isinstance(event, (Said, Key)):
            return plan
        if not self._noticed:
            return plan.opened_by(*desk.say("recording_notice"))
        state = replace(plan.state, recording="on")
        return plan.having(state=state, before=(*plan.before, Record(True)))

    # ---- events

    async def _answer(self, desk: Desk, event: Event) -> Plan:
        state = self.state
        match event:
            case Begin():
                greeted = self._greet(desk, state)
                return stepping_down.keys_from_the_start(desk, greeted) if event.unserved else greeted
            case Resumed():
                return await self._take_over(desk, state, event)
            case Said():
                return await hearing.heard(desk, state, event, self._understanding)
            case Key():
                return await keypad.pressed(desk, state, event)
            case Typed():
                return await self._typed(desk, state, event)
            case Unheard():
                return await self._unheard(desk, state, event)
            case Unserved():
                return stepping_down.unserved(desk, state, event)
            case Silence():
                return self._silence(desk, state, event)
            case TransferEnded(accepted):
                quiet = replace(state, ringing=False)
                return Plan(quiet) if accepted else handover.failed(desk, quiet)

    def _greet(self, desk: Desk, state: State) -> Plan:
        if not self._site.records:
            return desk.answer(state, desk.say("greeting"))
        return desk.answer(replace(state, recording="notice"), desk.say("greeting_recorded"))

    def _silence(self, desk: Desk, state: State, event: Silence) -> Plan:
        if event.last:
            return Plan(state, desk.say("silence_goodbye"), after=(HangUp("silence"),))
        question = state.question if state.flow != "open" else ()
        return Plan(replace(state, silences=state.silences + 1), (*desk.say("still_there"), *question))

    async def _unheard(self, desk: Desk, state: State, event: Unheard) -> Plan:
        if state.flow == preference.FLOW:
            return await preference.go_on(desk, state, event)
        phrase = desk.say("apology" if event.failed else "not_heard")
        state = replace(state, failures=state.failures + 1)
        if desk.bank is None and state.failures < stepping_down.FAILURES_LAST:
            return Plan(state, phrase)
        return await reception.misunderstood(desk, state, phrase)

    async def _take_over(self, desk: Desk, state: State, event: Resumed) -> Plan:
        sorry = desk.say("resumed")
        if state.step == "executing":
            return desk.anything_else(state, sorry, desk.say("pending"))
        if state.flow == "authentication" and state.goal is not None:
            if event.dark_id and event.dark_id == state.dark_id:
                return Plan(state, sorry)
            standing = await desk.reads.authentication()
            if standing.level >= state.slots["level"] and not standing.stale:
                state = replace(state, level=standing.level, dark_id=0, dark_purpose="")
                return (await reception.go_for_goal(desk, state)).opened_by(*sorry)
            return authentication.resumed(desk, state).opened_by(*sorry)
        if state.flow in reception.FLOWS and state.step in ("confirm", "quoting", "blocking"):
            # The quote's token died with its pipeline; a block may be asked for again.
            begun = await reception.begin(desk, state, state.flow, Said(""), money.known(state))
            return begun.opened_by(*sorry)
        return Plan(state, (*sorry, *state.question))

    # ---- typed in the dark

    async def _typed(self, desk: Desk, state: State, event: Typed) -> Plan:
        if event.dark_id != state.dark_id:
            # An answer to a question that is no longer asked.
            return Plan(state)
        plan = await authentication.typed(desk, state, event)
        if plan is not None:
            return plan
        state = authentication.known(state)
        if (question := await preference.asked(desk, state)) is not None:
            return question
        return (await reception.go_for_goal(desk, state)).opened_by(*desk.say("thank_you"))

    def _goal(self, event: Event) -> Goal:
        """What the caller was about when they were refused."""
        if self.state.goal is not None:
            return self.state.goal
        text = event.text if isinstance(event, Said) else ""
        return Goal(self.state.flow, text, money.known(self.state))
