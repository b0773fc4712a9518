"""What every flow has at hand: the bank's read-only side, words to say, and what the caller has heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, time

from tellerline import language
from tellerline.language import speech
from tellerline.pipeline.bank import CallsBank
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State
from tellerline.rpc import banking_pb2 as pb


@dataclass(frozen=True)
class Site:
    """What a site has decided about its calls."""

    # SIP URIs callers are handed over to, in the order they are tried.
    targets: tuple[str, ...] = ()
    # Consenting callers are recorded.
    records: bool = False
    # Somebody reads what is kept of a call, a promise to call back included.
    keeps: bool = False
    # Languages callers can be spoken to in.
    languages: tuple[str, ...] = ("en",)


@dataclass(frozen=True)
class Desk:
    """Made anew for every event."""

    words: language.Language
    bank: CallsBank | None
    site: Site
    today: date
    # The turn may not be over: only reading, and audited as speculative.
    speculative: bool = False
    # This line carries telephone-event, so digits can be taken in the dark.
    keypad: bool = True
    # What the caller heard of the last answer, and whether that was all of it.
    heard: str = ""
    heard_out: bool = False

    @property
    def code(self) -> str:
        """The language spoken, BCP 47."""
        return self.words.code

    @property
    def reads(self) -> CallsBank:
        """The bank. Only flows that need one are begun without asking whether there is one."""
        assert self.bank is not None
        return self.bank

    # ---- answering

    def say(self, key: str, **slots: str) -> tuple[str, ...]:
        """A fixed phrase, or a template with its slots filled; each clause begins with a capital."""
        if key in self.words.phrases:
            return (self.words.phrases[key],)
        return tuple(_capital(clause) for clause in language.clauses(self.code, key, **slots))

    def menu(self) -> tuple[str, ...]:
        """Every key of the menu; the one for another language only where there is one."""
        return self.say("menu") + (self.say("menu_language") if len(self.site.languages) > 1 else ())

    def answer(self, state: State, *lines: tuple[str, ...], ask: tuple[str, ...] = ()) -> Plan:
        """Says `lines` and then asks `ask`, which is asked again where the reply is not understood."""
        said = tuple(line for part in lines for line in part)
        return Plan(replace(state, question=ask), lines=(*said, *ask))

    def anything_else(self, state: State, *lines: tuple[str, ...]) -> Plan:
        """Says `lines`; the flow is over."""
        return self.answer(state.open(), *lines, ask=self.say("anything_else"))

    # ---- speaking of what the bank said

    def number(self, number: int) -> str:
        """A whole number in words."""
        return speech.say_number(number, self.code)

    def money(self, amount: pb.Money) -> str:
        """An amount in words."""
        return speech.say_money(amount.minor_units, amount.currency, self.code)

    def ending(self, digits: str) -> str:
        """Last digits, one by one."""
        return speech.say_ending(digits, self.code)

    def day(self, iso: str) -> str:
        """A day in words; "" where the bank gave none."""
        return speech.say_date(date.fromisoformat(iso), self.code, self.today) if iso else ""

    def account(self, account: pb.Account) -> str:
        """What an account is called."""
        return speech.say_account(account.kind, account.ending, self.code, account.name)

    def card(self, card: pb.Card) -> str:
        """What a card is called."""
        return speech.say_account(card.kind, card.ending, self.code)

    def payee(self, payee: pb.Payee) -> str:
        """What a payee is called where the name alone does not tell them apart."""
        return speech.say_with_ending(payee.name, payee.ending, self.code)

    def either(self, things: Sequence[str]) -> str:
        """Things to choose from."""
        return speech.say_list(things, self.code, last="or")

    def hours(self, branch: pb.Branch) -> str:
        """When a branch is open."""
        opened = [
            (entry.weekday, time.fromisoformat(entry.opens), time.fromisoformat(entry.closes))
            for entry in branch.hours
        ]
        return speech.say_hours(opened, self.code)


def _capital(clause: str) -> str:
    return clause[:1].upper() + clause[1:]
