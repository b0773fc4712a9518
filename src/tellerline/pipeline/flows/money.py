"""Orders of money: quoted by the bank, read back from the quote, confirmed by the caller, executed once."""

from __future__ import annotations

from typing import Any

from tellerline.pipeline.flows import choosing
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Executed, Key, Quoted, Result, Said
from tellerline.pipeline.flows.plan import Execute, Plan, Quote
from tellerline.pipeline.flows.state import State
from tellerline.rpc import banking_pb2 as pb

_REFUSED: dict[int, str] = {
    pb.LIMIT_PER_CALL: "refused_limit_call",
    pb.LIMIT_PER_DAY: "refused_limit_day",
    pb.INSUFFICIENT_FUNDS: "refused_funds",
    pb.NOT_FOUND: "refused_not_found",
}
# What of a flow's slots makes its order.
_ORDER = frozenset({"amount", "payee_id", "to", "from", "bill_id"})
# Steps in which an order is with the bank.
WITH_THE_BANK = frozenset({"quoting", "executing"})


def known(state: State) -> dict[str, Any]:
    """What is known of the order; enough to begin its flow again."""
    return {name: value for name, value in state.slots.items() if name in _ORDER}


def order(state: State) -> Quote:
    """The order that is quoted."""
    slots = state.slots
    minor_units, currency = slots.get("amount") or (0, "")
    return Quote(
        slots["from"],
        slots.get("payee_id", ""),
        slots.get("to", ""),
        slots.get("bill_id", ""),
        int(minor_units),
        str(currency),
    )


def quote(desk: Desk, state: State, **slots: Any) -> Plan:
    """Has the order that `slots` make quoted; what is read back comes from the quote."""
    state = state.at(state.flow, "quoting", **slots)
    return desk.answer(state, desk.say("all_right")).having(write=order(state))


def written(desk: Desk, state: State, result: Result) -> Plan:
    """Reads the quote back, or tells what became of the order."""
    if isinstance(result, Quoted):
        return _quoted(desk, state, result.reply)
    if isinstance(result, Executed):
        return _executed(desk, state, result.reply)
    return desk.answer(state.open(), desk.say("bank_away"))


def _quoted(desk: Desk, state: State, reply: pb.QuoteReply | None) -> Plan:
    if reply is None:
        return desk.answer(state.open(), desk.say("bank_away"))
    if reply.refusal:
        return refused(desk, state, reply.refusal)
    source = pb.Account(kind=reply.from_kind, ending=reply.from_ending)
    slots = {"amount": desk.money(reply.amount), "payee": reply.payee, "account": desk.account(source)}
    if "to" in state.slots:
        target = pb.Account(name=reply.payee, ending=reply.payee_ending)
        lines = desk.say("readback_own", **{**slots, "payee": desk.account(target)})
    elif state.flow == "pay_bill":
        lines = desk.say("readback_bill", **slots)
    else:
        ending = desk.ending(reply.payee_ending)
        lines = desk.say("readback", payee_ending=ending, **slots)
    if reply.fee.minor_units:
        lines += desk.say("fee", fee=desk.money(reply.fee))
    state = state.at(
        state.flow,
        "confirm",
        **{**state.slots, "quote_id": reply.quote_id, "readback": list(lines)},
        told={"amount": slots["amount"], "payee": reply.payee},
    )
    return desk.answer(state, lines, ask=desk.say("confirm_question"))


def confirm(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    """Executes, for key one once the figures were heard, and for a confident plain "yes" once the whole
    read-back was. None for what is neither that nor a no: a correction, perhaps.
    """
    if isinstance(event, Key):
        if event.digit != "1":
            return not_done(desk, state)
        heard = all(line in desk.heard for line in state.slots["readback"])
        return _execute(desk, state, "keypad") if heard or desk.heard_out else read_again(desk, state)
    if choosing.agrees(desk, event):
        if not desk.heard_out:
            return read_again(desk, state)
        sure = choosing.confirms(desk, event) and event.logprob >= choosing.CONFIDENT_LOGPROB
        return (
            _execute(desk, state, "voice") if sure else desk.answer(state, ask=desk.say("confirm_question"))
        )
    return None


def read_again(desk: Desk, state: State) -> Plan:
    """The figures once more: they were not heard to the end."""
    return desk.answer(state, tuple(state.slots["readback"]), ask=desk.say("confirm_question"))


def not_done(desk: Desk, state: State) -> Plan:
    """Anything but a confirmation is no."""
    return desk.answer(state.open(), ask=desk.say("not_done"))


def refused(desk: Desk, state: State, refusal: int) -> Plan:
    """Why the bank does not do it, and what else there is."""
    return desk.anything_else(state, desk.say(_REFUSED.get(refusal, "refused_bank")))


def _execute(desk: Desk, state: State, by: Any) -> Plan:
    executing = state.at(state.flow, "executing", **state.slots)
    return desk.answer(executing, desk.say("all_right")).having(write=Execute(state.slots["quote_id"], by))


def _executed(desk: Desk, state: State, reply: pb.ExecuteReply | None) -> Plan:
    told: dict[str, str] = state.slots["told"]
    if reply is None or reply.state in (pb.ExecuteReply.PENDING, pb.ExecuteReply.STATE_UNSPECIFIED):
        return desk.anything_else(state, desk.say("pending"))
    if reply.refusal == pb.TOKEN_REFUSED:
        return quote(desk, state, **known(state)).having(lines=desk.say("quote_expired"))
    if reply.state == pb.ExecuteReply.REFUSED:
        return refused(desk, state, reply.refusal)
    return desk.anything_else(state, desk.say("executed", **told))
