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
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from typing import TypeVar

from tellerline import language
from tellerline.pipeline.bank import BankAway, CallsBank, Refused
from tellerline.pipeline.flows import (
    authentication,
    balance,
    bill,
    branch,
    card_delivery,
    choosing,
    courtesies,
    handover,
    lost_card,
    money,
    transactions,
    transfer,
)
from tellerline.pipeline.flows.desk import Desk, Site
from tellerline.pipeline.flows.events import (
    Begin,
    Blocked,
    Event,
    Executed,
    Guess,
    Key,
    Quoted,
    Result,
    Resumed,
    Said,
    Silence,
    TransferEnded,
    Typed,
    Unheard,
)
from tellerline.pipeline.flows.flow import Flow
from tellerline.pipeline.flows.plan import (
    Block,
    CancelDark,
    Execute,
    HangUp,
    Menu,
    Plan,
    Quote,
    Record,
    Write,
)
from tellerline.pipeline.flows.state import Goal, State
from tellerline.pipeline.turns import normalised
from tellerline.pipeline.understanding import Understanding, understand
from tellerline.rpc import banking_pb2 as pb

log = logging.getLogger(__name__)

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
# Heard at any moment, whatever was asked.
ANY_TIME = frozenset({"human", "repeat", "slower", "cancel", "goodbye", "language", "help"})
# Speech that fails so often in a row gives way to the keypad.
FAILURES = 2
# An order or a block is with the bank; its answer comes whatever is said meanwhile.
_WITH_THE_BANK = frozenset({"quoting", "executing", "blocking"})


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
        self._keypad = keypad
        self._today = today
        # One-use tokens by quote: they leave this process for banking alone.
        self._tokens: dict[str, bytes] = {}
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
        if normalised(words.phrases["recording_notice"]) in heard:
            self._noticed = True

    async def consider(self, event: Event, speculative: bool = False) -> Plan:
        """What to do about `event`. Changes nothing, here or at the bank."""
        desk = self._desk(speculative)
        try:
            plan = await self._answer(desk, event)
        except Refused as refused:
            plan = self._refused(desk, self.state, refused.refusal, self._goal(event))
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
            result = await self._write(plan.write)
        except Refused as refused:
            goal = Goal(self.state.flow, slots=money.known(self.state))
            further = self._refused(desk, self.state, refused.refusal, goal)
        else:
            written = FLOWS[self.state.flow].written
            assert written is not None
            further = written(desk, self.state, result)
        return replace(self._finished(desk, None, further), basis=self.state)

    def answered(self, text: str) -> None:
        """The language model has answered a general question; `text` is what was heard of that."""
        self.state = replace(self.state, said=(text,))

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
            self._keypad,
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
                return self._greet(desk, state)
            case Resumed():
                return await self._take_over(desk, state, event)
            case Said():
                return await self._said(desk, state, event)
            case Key():
                return await self._key(desk, state, event)
            case Typed():
                return await self._typed(desk, state, event)
            case Unheard():
                return await self._unheard(desk, state, event)
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
        phrase = desk.say("apology" if event.failed else "not_heard")
        state = replace(state, failures=state.failures + 1)
        if desk.bank is None:
            return Plan(state, phrase)
        return await self._misunderstood(desk, state, phrase)

    async def _misunderstood(self, desk: Desk, state: State, phrase: tuple[str, ...]) -> Plan:
        """Asks again; on the keypad once speech has failed too often."""
        if state.failures < FAILURES or not desk.keypad:
            question = state.question if state.flow != "open" else ()
            return Plan(state, (*phrase, *question))
        state = replace(state, keypad=True)
        if state.flow in FLOWS and state.step not in _WITH_THE_BANK and not self._settled(state):
            begun = await self._begin(desk, state, state.flow, Said(""), state.slots)
            return begun.opened_by(*desk.say("not_understood"))
        return Plan(state, (*phrase, *desk.say("menu")))

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
                return (await self._go_for_goal(desk, state)).opened_by(*sorry)
            return authentication.resumed(desk, state).opened_by(*sorry)
        if state.flow in FLOWS and state.step in ("confirm", "quoting", "blocking"):
            # The quote's token died with its pipeline; a block may be asked for again.
            begun = await self._begin(desk, state, state.flow, Said(""), money.known(state))
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
        return (await self._go_for_goal(desk, authentication.known(state))).opened_by(*desk.say("thank_you"))

    async def _go_for_goal(self, desk: Desk, state: State) -> Plan:
        goal = state.goal or Goal("open")
        state = replace(state, goal=None)
        if goal.flow not in FLOWS:
            return desk.anything_else(state)
        try:
            return await self._begin(desk, state, goal.flow, Said(goal.text), goal.slots, asked=False)
        except BankAway:
            # The caller is known by now, and is not to be asked again.
            return desk.answer(state.open(), desk.say("bank_away"))

    # ---- flows

    async def _begin(
        self,
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
        except Refused as refused:
            goal = Goal(intent, said.text, dict(slots or {}))
            return self._refused(desk, state, refused.refusal, goal)

    def _refused(self, desk: Desk, state: State, refusal: int, goal: Goal) -> Plan:
        """The caller has to prove who they are, again perhaps; or nothing can be done by telephone now."""
        state = replace(state, dark_id=0, dark_purpose="")
        if refusal == pb.STALE:
            return authentication.again(desk, state, goal)
        if refusal == pb.NOT_AUTHENTICATED and goal.flow in FLOWS:
            state = replace(state, level=0)
            return authentication.begin(desk, state, goal, FLOWS[goal.flow].level)
        return desk.anything_else(state, desk.say("closed"))

    def _goal(self, event: Event) -> Goal:
        """What the caller was about when they were refused."""
        if self.state.goal is not None:
            return self.state.goal
        text = event.text if isinstance(event, Said) else ""
        return Goal(self.state.flow, text, money.known(self.state))

    @staticmethod
    def _settled(state: State) -> bool:
        return state.flow in FLOWS and state.step in FLOWS[state.flow].settled

    # ---- keys

    async def _key(self, desk: Desk, state: State, key: Key) -> Plan:
        if state.step in _WITH_THE_BANK:
            return Plan(state, desk.say("one_moment"))
        typing = state.flow == "transfer" and state.step == "amount"
        if not typing:
            if key.digit == "0":
                return handover.begin(desk, state.wants("human")).having(guess=Guess("human", 1.0, "keypad"))
            if key.digit == "*":
                return self._star(desk, state)
        if state.flow != "open" and not self._settled(state):
            return await self._key_in_flow(desk, state, key)
        return await self._menu(desk, state, key)

    def _star(self, desk: Desk, state: State) -> Plan:
        if state.recording in ("notice", "on") and state.flow == "open":
            return self._unrecorded(desk, state)
        return courtesies.cancel(desk, state)

    @staticmethod
    def _unrecorded(desk: Desk, state: State) -> Plan:
        state = replace(state, recording="refused")
        question = state.question if state.flow != "open" else ()
        return Plan(state, (*desk.say("not_recorded"), *question), before=(Record(False),))

    async def _key_in_flow(self, desk: Desk, state: State, key: Key) -> Plan:
        plan = await self._go_on(desk, state, key)
        if plan is not None:
            return plan
        state = replace(state, failures=state.failures + 1)
        return await self._misunderstood(desk, state, desk.say("not_understood"))

    async def _menu(self, desk: Desk, state: State, key: Key) -> Plan:
        guess = Guess(MENU.get(key.digit, ""), 1.0, "keypad")
        if guess.intent == "repeat":
            return courtesies.repeat(desk, state).having(guess=guess)
        if guess.intent == "language" and courtesies.chosen_language(desk, state, ""):
            return self._in_language(state, courtesies.chosen_language(desk, state, ""))
        if guess.intent in FLOWS and (desk.bank is not None or guess.intent in ("branch", "lost_card")):
            state = replace(state, keypad=True)
            return (await self._begin(desk, state, guess.intent, Said(""))).having(guess=guess)
        return Plan(state, desk.say("unknown_key" if desk.bank is None else "menu"))

    # ---- words

    async def _said(self, desk: Desk, state: State, said: Said) -> Plan:
        if normalised(said.text) in desk.words.goodbyes:
            return courtesies.goodbye(desk, state).having(guess=Guess("goodbye", 1.0, "flow"))
        if self._refuses_recording(desk, state, said.text):
            return self._unrecorded(desk, state)
        if self._understanding is None:
            return Plan(replace(state, failures=0), ask_model=said.text)
        if state.step in _WITH_THE_BANK:
            return Plan(state, desk.say("one_moment"))
        guess, doubted = await understand(self._understanding, said.text, state.language)
        plan = await self._mean(desk, state, replace(said, guess=guess), doubted)
        return plan if plan.guess.intent != "out_of_scope" else plan.having(guess=guess)

    def _refuses_recording(self, desk: Desk, state: State, text: str) -> bool:
        if state.recording not in ("notice", "on"):
            return False
        heard = f" {normalised(text)} "
        return any(f" {words} " in heard for words in desk.words.commands["refuse_recording"])

    async def _mean(self, desk: Desk, state: State, said: Said, doubted: Guess | None) -> Plan:
        intent = said.guess.intent
        if intent in ANY_TIME and (plan := self._any_time(desk, state, said)):
            return plan
        if state.flow != "open":
            settled = self._settled(state)
            if not (settled and intent in FLOWS and intent != state.flow):
                plan = await self._go_on(desk, state, said)
                if plan is not None:
                    return plan
            if intent not in FLOWS and not settled:
                state = replace(state, failures=state.failures + 1)
                return await self._misunderstood(desk, state, desk.say("not_understood"))
        return await self._from_the_open(desk, replace(state, goal=None), said, doubted)

    async def _go_on(self, desk: Desk, state: State, event: Said | Key) -> Plan | None:
        if state.flow == "handover":
            return await handover.go_on(desk, state, event)
        if state.flow == "clarify":
            return await self._clarified(desk, state, event)
        if state.flow == "authentication":
            # Digits are awaited; what is said or pressed beside them is asked to wait.
            return Plan(state, state.question)
        return await FLOWS[state.flow].go_on(desk, state, event)

    async def _from_the_open(self, desk: Desk, state: State, said: Said, doubted: Guess | None) -> Plan:
        intent = said.guess.intent
        if intent in FLOWS:
            return await self._begin(desk, state, intent, said)
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

    async def _clarified(self, desk: Desk, state: State, event: Said | Key) -> Plan | None:
        intent, text = str(state.slots["intent"]), str(state.slots["text"])
        if choosing.agrees(desk, event):
            if intent == "human":
                return handover.begin(desk, state.wants("human"))
            return await self._begin(desk, state, intent, Said(text))
        if isinstance(event, Key) or choosing.declines(desk, event):
            return courtesies.cancel(desk, state)
        return await self._from_the_open(desk, state.open(), event, None)

    def _any_time(self, desk: Desk, state: State, said: Said) -> Plan | None:
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
            case "help" if state.flow == "open" or self._settled(state):
                return courtesies.help_(desk, state)
            case "language":
                code = courtesies.chosen_language(desk, state, said.text)
                return self._in_language(state, code) if code else None
        return None

    def _in_language(self, state: State, code: str) -> Plan:
        state = replace(state, language=code)
        desk = replace(self._desk(False), words=language.load(code))
        return courtesies.hello(desk, state)

    # ---- writing

    async def _write(self, write: Write) -> Result:
        assert self._bank is not None
        match write:
            case Block(card_id):
                return Blocked(await self._reached(self._bank.block_card(card_id)))
            case Quote():
                quoted = await self._reached(self._bank.quote(_order(write)))
                if quoted is not None and quoted.quote_id:
                    self._tokens[quoted.quote_id] = quoted.token
                return Quoted(quoted)
            case Execute(quote_id, by):
                return Executed(await self._execute(quote_id, by))

    async def _execute(self, quote_id: str, by: str) -> pb.ExecuteReply | None:
        assert self._bank is not None
        token = self._tokens.pop(quote_id, b"")
        # Banking executes a quote once however often it is asked, so asking again is safe, and tells more
        # than not knowing.
        for _ in range(2):
            reply = await self._reached(self._bank.execute(quote_id, token, by))
            if reply is not None:
                return reply
        return None

    @staticmethod
    async def _reached(asked: Awaitable[Reply]) -> Reply | None:
        try:
            return await asked
        except BankAway as away:
            log.warning("%s", away)
            return None


# "No, thank you, that is all": longer ones say something else as well.
_SHORT = 6
_CLARIFIABLE = frozenset({*FLOWS, "human"})
Reply = TypeVar("Reply")


def _order(quote: Quote) -> pb.TransferOrder | pb.BillOrder:
    if quote.bill_id:
        return pb.BillOrder(from_account_id=quote.from_account_id, bill_id=quote.bill_id)
    order = pb.TransferOrder(
        from_account_id=quote.from_account_id,
        amount=pb.Money(minor_units=quote.minor_units, currency=quote.currency),
    )
    if quote.payee_id:
        order.payee_id = quote.payee_id
    else:
        order.to_account_id = quote.to_account_id
    return order
