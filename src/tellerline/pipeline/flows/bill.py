"""A bill that is due, paid in full."""

from __future__ import annotations

from collections.abc import Sequence

from tellerline.pipeline.flows import choosing, money
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Key, Said
from tellerline.pipeline.flows.flow import Flow
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State
from tellerline.rpc import banking_pb2 as pb

# As many as are told one after another.
TOLD = 4


async def begin(desk: Desk, state: State, said: Said) -> Plan:
    """The bill that was named, or the only one; otherwise tells which there are."""
    bills = await desk.reads.bills(desk.speculative)
    if not bills:
        return desk.anything_else(state, desk.say("let_me_see"), desk.say("no_bills"))
    known = [bill for bill in bills if bill.bill_id == state.slots.get("bill_id")]
    meant = known or _named(desk, said, bills) or bills
    if len(meant) == 1:
        return await _pay(desk, state, meant[0], said)
    return _which(desk, state, meant[:TOLD])


async def go_on(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    """The bill that was chosen, then yes or no; or a correction of bill or account."""
    if state.step in money.WITH_THE_BANK:
        return None
    if state.step == "confirm" and (plan := money.confirm(desk, state, event)):
        return plan
    bills = await desk.reads.bills(desk.speculative)
    if state.step == "which":
        offered = [bill for bill in bills if bill.bill_id in state.slots["offered"]]
        meant = _named(desk, event, offered)
        return await _pay(desk, state, meant[0], event) if len(meant) == 1 else None
    assert isinstance(event, Said)
    meant = _named(desk, event, bills)
    accounts = choosing.held(desk, event, await desk.reads.accounts(desk.speculative))
    if len(meant) != 1 and len(accounts) != 1:
        return money.not_done(desk, state)
    bill_id = meant[0].bill_id if len(meant) == 1 else state.slots["bill_id"]
    chosen = [bill for bill in bills if bill.bill_id == bill_id]
    return await _pay(desk, state, chosen[0], event) if chosen else money.not_done(desk, state)


def _named(desk: Desk, event: Said | Key, bills: Sequence[pb.Bill]) -> list[pb.Bill]:
    return choosing.named(desk, event, bills, [bill.biller for bill in bills])


def _which(desk: Desk, state: State, bills: Sequence[pb.Bill]) -> Plan:
    told = tuple(
        line
        for bill in bills
        for line in desk.say(
            "bill_due", amount=desk.money(bill.amount), biller=bill.biller, due_on=desk.day(bill.due_on)
        )
    )
    billers = [bill.biller for bill in bills]
    question = desk.say("which_bill", billers=desk.either(billers))
    state = state.at("pay_bill", "which", offered=[bill.bill_id for bill in bills])
    return desk.answer(
        state, desk.say("let_me_see"), told, ask=choosing.offer(desk, state, question, billers)
    )


async def _pay(desk: Desk, state: State, bill: pb.Bill, event: Said | Key) -> Plan:
    accounts = await desk.reads.accounts(desk.speculative)
    if not accounts:
        return desk.anything_else(state, desk.say("no_accounts"))
    named = choosing.held(desk, event, accounts) if isinstance(event, Said) else []
    before = [account for account in accounts if account.account_id == state.slots.get("from")]
    source = (named if len(named) == 1 else before or accounts)[0].account_id
    return money.quote(desk, state, **{"bill_id": bill.bill_id, "from": source})


FLOW = Flow("pay_bill", pb.AuthenticationReply.AUTHENTICATED, begin, go_on, money.written)
