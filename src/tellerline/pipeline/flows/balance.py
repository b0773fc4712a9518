"""What an account holds."""

from __future__ import annotations

from collections.abc import Sequence

from tellerline.pipeline.flows import choosing
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Key, Said
from tellerline.pipeline.flows.flow import Flow
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State
from tellerline.rpc import banking_pb2 as pb


async def begin(desk: Desk, state: State, said: Said) -> Plan:
    """The account that was named; otherwise the first, and the others are offered."""
    accounts = await desk.reads.accounts(desk.speculative)
    if not accounts:
        return desk.anything_else(state, desk.say("no_accounts"))
    meant = choosing.held(desk, said, accounts)
    return (
        _which(desk, state, meant)
        if len(meant) > 1
        else _tell(desk, state, accounts, [*meant, accounts[0]][0])
    )


async def go_on(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    """The account that was chosen, or another one: "no, the savings account"."""
    accounts = await desk.reads.accounts(desk.speculative)
    offered = [account for account in accounts if account.account_id in state.slots["offered"]]
    if state.step == "which":
        meant = choosing.held(desk, event, offered)
        return _tell(desk, state, accounts, meant[0]) if len(meant) == 1 else None
    if isinstance(event, Key):
        return None
    meant = choosing.held(desk, event, accounts)
    if len(meant) == 1:
        return _tell(desk, state, accounts, meant[0])
    if choosing.agrees(desk, event) and offered:
        return _tell(desk, state, accounts, offered[0]) if len(offered) == 1 else _which(desk, state, offered)
    if choosing.declines(desk, event):
        return desk.anything_else(state, desk.say("all_right"))
    return None


def _tell(desk: Desk, state: State, accounts: Sequence[pb.Account], account: pb.Account) -> Plan:
    told = {*state.slots.get("told", ()), account.account_id}
    others = [other for other in accounts if other.account_id not in told]
    slots = {"offered": [other.account_id for other in others], "told": sorted(told)}
    names = [desk.account(other) for other in others]
    if not others:
        ask = desk.say("anything_else")
    elif len(others) == 1:
        ask = desk.say("another_account", account=names[0])
    else:
        ask = desk.say("other_accounts", accounts=desk.either(names))
    state = state.at("balance", "told", **slots)
    return desk.answer(state, desk.say("let_me_see"), _amounts(desk, account), ask=ask)


def _which(desk: Desk, state: State, accounts: Sequence[pb.Account]) -> Plan:
    names = [desk.account(account) for account in accounts]
    slots = {"offered": [account.account_id for account in accounts], "told": state.slots.get("told", [])}
    question = desk.say("which_account", accounts=desk.either(names))
    return desk.answer(
        state.at("balance", "which", **slots), ask=choosing.offer(desk, state, question, names)
    )


def _amounts(desk: Desk, account: pb.Account) -> tuple[str, ...]:
    called, amount = desk.account(account), desk.money(account.balance)
    if account.balance.minor_units < 0:
        owed = pb.Money(minor_units=-account.balance.minor_units, currency=account.balance.currency)
        return desk.say("balance_owed", account=called, amount=desk.money(owed))
    if account.kind != "credit_card" and account.available.minor_units < account.balance.minor_units:
        available = desk.money(account.available)
        return desk.say("balance_available", account=called, amount=amount, available=available)
    return desk.say("balance", account=called, amount=amount)


FLOW = Flow("balance", pb.AuthenticationReply.AUTHENTICATED, begin, go_on, settled=frozenset({"told"}))
