"""Money to a payee, or between the customer's own accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tellerline.language import amounts, names
from tellerline.pipeline.flows import choosing, money
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Key, Said
from tellerline.pipeline.flows.flow import Flow
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State
from tellerline.rpc import banking_pb2 as pb

# Twelve digits and a point: more is no amount anybody sends by telephone.
TYPED_KEYS = 13


@dataclass(frozen=True)
class _Customer:
    """What the bank says an order may be made of."""

    accounts: Sequence[pb.Account]
    payees: Sequence[pb.Payee]

    @property
    def currency(self) -> str:
        return self.accounts[0].balance.currency


async def begin(desk: Desk, state: State, said: Said) -> Plan:
    """Takes amount, payee and account from the words, and asks for what is missing."""
    customer = await _customer(desk)
    if not customer.accounts:
        return desk.anything_else(state, desk.say("no_accounts"))
    if not customer.payees and len(customer.accounts) < 2:
        return desk.answer(state.open(), desk.say("no_payees"))
    return _next(desk, state, customer, _heard(desk, said, customer))


async def go_on(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    """What was asked for, or a correction of anything: "no, the savings account", "make it fifty"."""
    if state.step in money.WITH_THE_BANK:
        return None
    if state.step == "confirm" and (plan := money.confirm(desk, state, event)):
        return plan
    if isinstance(event, Key) and state.step == "amount":
        return await _typed_amount(desk, state, event)
    customer = await _customer(desk)
    if isinstance(event, Key):
        meant = choosing.by_key(event, _offered(state, customer))
        return _next(desk, state, customer, {"payee_id": meant[0].payee_id}) if meant else None
    found = _heard(desk, event, customer)
    if not found and state.step == "payee" and event.guess.intent == "out_of_scope":
        question = choosing.offer(desk, state, desk.say("payee_unknown"), _called(desk, customer.payees))
        state = replace(state.with_slots(offered=[]), failures=state.failures + 1)
        return desk.answer(state, ask=question)
    if not found:
        return money.not_done(desk, state) if state.step == "confirm" else None
    return _next(desk, state, customer, found)


async def _customer(desk: Desk) -> _Customer:
    accounts, payees = await asyncio.gather(
        desk.reads.accounts(desk.speculative), desk.reads.payees(desk.speculative)
    )
    return _Customer(accounts, payees)


def _next(desk: Desk, state: State, customer: _Customer, found: dict[str, Any]) -> Plan:
    """Asks for the next thing that is missing, or has the whole quoted."""
    order = money.known(state) | found
    if "payee_id" in found:
        order.pop("to", None)
    elif "to" in found:
        order.pop("payee_id", None)
    if "to" in order and order.get("from") == order["to"]:
        others = [account.account_id for account in customer.accounts if account.account_id != order["to"]]
        order["from"] = others[0] if others else order["from"]
    several = order.pop("payees", [])
    state = state.at("transfer", "", **order)
    if "payee_id" not in order and "to" not in order:
        return _ask_payee(desk, state, customer, several)
    if "amount" not in order:
        phrase = "type_amount" if state.keypad else "ask_amount"
        state = state.at("transfer", "amount", **order, typed="")
        return desk.answer(state, desk.say("all_right"), ask=desk.say(phrase))
    order.setdefault("from", _source(customer, order))
    return money.quote(desk, state, **order)


def _source(customer: _Customer, order: dict[str, Any]) -> str:
    able = [a for a in customer.accounts if a.kind != "credit_card" and a.account_id != order.get("to")]
    return (able or list(customer.accounts))[0].account_id


def _ask_payee(desk: Desk, state: State, customer: _Customer, several: Sequence[str]) -> Plan:
    payees = [payee for payee in customer.payees if not several or payee.payee_id in several]
    called = _called(desk, payees)
    state = state.at("transfer", "payee", **{**state.slots, "offered": list(several)})
    if several:
        question = desk.say("which_payee", payees=desk.either(called))
        return desk.answer(state, ask=choosing.offer(desk, state, question, called))
    question = choosing.offer(desk, state, desk.say("ask_payee"), called)
    return desk.answer(state, desk.say("all_right"), ask=question)


def _offered(state: State, customer: _Customer) -> list[pb.Payee]:
    """The payees that were read out last, in the order their keys count in."""
    offered = state.slots.get("offered")
    return [payee for payee in customer.payees if not offered or payee.payee_id in offered]


def _called(desk: Desk, payees: Sequence[pb.Payee]) -> list[str]:
    """What payees are called: by name, and those that sound alike by the ending of their account as well."""
    return [
        desk.payee(payee) if len(names.which_payee(payee.name, desk.code, payees)) > 1 else payee.name
        for payee in payees
    ]


def _heard(desk: Desk, said: Said, customer: _Customer) -> dict[str, Any]:
    """What of an order is in the words: "amount", "payee_id" (or "payees"), "from", "to"."""
    found: dict[str, Any] = {}
    amount = amounts.parse_amount(said.text, desk.code, customer.currency)
    if amount is not None and amount.minor_units > 0:
        found["amount"] = [amount.minor_units, amount.currency]
    payees = choosing.named(desk, said, customer.payees, [payee.name for payee in customer.payees])
    if len(payees) == 1:
        found["payee_id"] = payees[0].payee_id
    elif payees:
        found["payees"] = [payee.payee_id for payee in payees]
    source, target = _directions(desk, said.text, customer.accounts)
    if source:
        found["from"] = source
    if target and not payees:
        found["to"] = target
    return found


def _directions(desk: Desk, text: str, accounts: Sequence[pb.Account]) -> tuple[str, str]:
    """The accounts that money is to come from and go to, each "" where none is named for certain."""
    source, target = names.from_and_to(text, desk.code, accounts)
    return (
        source[0].account_id if len(source) == 1 else "",
        target[0].account_id if len(target) == 1 else "",
    )


def gives_up(state: State, key: Key) -> bool:
    """Whether the caller does not want to type an amount: a hash with nothing typed, or two stars."""
    typed = str(state.slots.get("typed", ""))
    return (key.digit == "#" and not typed) or (key.digit == "*" and typed.endswith("*"))


async def _typed_amount(desk: Desk, state: State, key: Key) -> Plan | None:
    typed = str(state.slots.get("typed", ""))
    if key.digit != "#":
        kept = (typed + key.digit)[:TYPED_KEYS] if key.digit.isdigit() or key.digit == "*" else typed
        return Plan(state.with_slots(typed=kept), lines=())
    customer = await _customer(desk)
    whole, _, parts = typed.partition("*")
    if not whole.isdigit() or (parts and not parts.isdigit()) or len(parts) > 2 or int(whole + parts) == 0:
        return desk.answer(state.with_slots(typed=""), ask=desk.say("type_amount"))
    minor_units = int(whole) * 100 + int(parts.ljust(2, "0") or 0)
    return _next(desk, state, customer, {"amount": [minor_units, customer.currency]})


FLOW = Flow("transfer", pb.AuthenticationReply.AUTHENTICATED, begin, go_on, money.written)
