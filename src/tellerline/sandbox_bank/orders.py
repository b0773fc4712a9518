"""Orders of money at the sandbox bank: quoted, and executed once for a key. In memory, no I/O."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from tellerline.sandbox_bank import seed
from tellerline.sandbox_bank.holder import Clock, Holder, Json, Refused, only

# More than this leaves no account in one order.
_ORDER_MAX = 50_000_00
_QUOTE_VALID = timedelta(minutes=2)


@dataclass
class _Quote:
    quote_id: str
    customer_id: str
    from_account_id: str
    payee: str
    payee_ending: str
    amount: int
    fee: int
    valid_until: datetime
    to_account_id: str = ""
    bill_id: str = ""
    used_by: str = ""


@dataclass
class _Execution:
    key: str
    quote_id: str
    state: Literal["executed", "pending", "refused"]
    reference: str = ""
    reason: str = ""

    def shown(self) -> Json:
        answer: Json = {"state": self.state}
        if self.reference:
            answer["reference"] = self.reference
        if self.reason:
            answer["reason"] = self.reason
        return answer


class Orders:
    """Every quote and every execution."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._quotes: dict[str, _Quote] = {}
        self._executions: dict[tuple[str, str], _Execution] = {}
        self._numbers = itertools.count(1)

    def quote(self, holder: Holder, order: Json) -> Json:
        """What an order would do; remembered until it expires."""
        quote = self._bill(holder, order) if order["kind"] == "bill" else self._transfer(holder, order)
        self._within_means(holder, quote)
        self._quotes[quote.quote_id] = quote
        source = holder.account(quote.from_account_id)
        return {
            "quote_id": quote.quote_id,
            "payee": quote.payee,
            "payee_ending": quote.payee_ending,
            "from_kind": source.kind,
            "from_ending": source.ending,
            "amount": holder.money(quote.amount),
            "fee": holder.money(quote.fee),
            "valid_until": quote.valid_until.isoformat(),
        }

    def execute(self, holder: Holder, quote_id: str, key: str, *, pending: bool = False) -> Json:
        """Does what a quote says, once for a key; `pending`: takes the order and leaves it for later."""
        known = self._executions.get((holder.customer.customer_id, key))
        if known is not None:
            if known.quote_id != quote_id:
                raise Refused("key_reused")
            return known.shown()
        execution = _Execution(key, quote_id, "pending")
        self._executions[holder.customer.customer_id, key] = execution
        quote = self._quotes.get(quote_id)
        if quote is None or quote.customer_id != holder.customer.customer_id:
            execution.state, execution.reason = "refused", "not_found"
        elif quote.used_by:
            execution.state, execution.reason = "refused", "quote_used"
        elif quote.valid_until < self._clock():
            execution.state, execution.reason = "refused", "quote_expired"
        else:
            quote.used_by = key
            if not pending:
                self._settle(holder, quote, execution)
        return execution.shown()

    def execution(self, holder: Holder, key: str) -> Json:
        """What became of an order. One that was left pending is told as such once, then done."""
        execution = self._executions.get((holder.customer.customer_id, key))
        if execution is None:
            raise Refused("not_found")
        shown = execution.shown()
        if execution.state == "pending":
            self._settle(holder, self._quotes[execution.quote_id], execution)
        return shown

    def moved(self) -> list[Json]:
        """Every execution so far, in order of arrival: what tests count."""
        return [
            {
                "customer_id": customer_id,
                "key": key,
                **execution.shown(),
                "amount": quote.amount if (quote := self._quotes.get(execution.quote_id)) else 0,
            }
            for (customer_id, key), execution in self._executions.items()
        ]

    def _bill(self, holder: Holder, order: Json) -> _Quote:
        due = (b for b in holder.customer.bills if b.bill_id == order["bill_id"])
        bill = only(b for b in due if b.bill_id not in holder.paid)
        source = holder.account(order["from_account_id"])
        quote = self._new_quote(holder, source, bill.biller, "", bill.amount, 0)
        return replace(quote, bill_id=bill.bill_id)

    def _transfer(self, holder: Holder, order: Json) -> _Quote:
        customer = holder.customer
        source = holder.account(order["from_account_id"])
        amount = order["amount"]["minor_units"]
        if order["amount"]["currency"] != customer.currency or amount <= 0:
            raise Refused("refused")
        if amount > _ORDER_MAX:
            raise Refused("limit_exceeded")
        if order.get("payee_id"):
            payee = only(p for p in customer.payees if p.payee_id == order["payee_id"])
            name = payee.canonical or payee.name
            return self._new_quote(holder, source, name, payee.ending, amount, customer.transfer_fee)
        target = holder.account(order["to_account_id"])
        if target.account_id == source.account_id:
            raise Refused("refused")
        quote = self._new_quote(holder, source, holder.called(target), target.ending, amount, 0)
        return replace(quote, to_account_id=target.account_id)

    def _new_quote(
        self, holder: Holder, source: seed.Account, payee: str, ending: str, amount: int, fee: int
    ) -> _Quote:
        quote_id = f"quote-{next(self._numbers):06d}"
        until = self._clock() + _QUOTE_VALID
        return _Quote(
            quote_id, holder.customer.customer_id, source.account_id, payee, ending, amount, fee, until
        )

    def _within_means(self, holder: Holder, quote: _Quote) -> None:
        source = holder.account(quote.from_account_id)
        if quote.amount + quote.fee > holder.available(source):
            raise Refused("insufficient_funds")

    def _settle(self, holder: Holder, quote: _Quote, execution: _Execution) -> None:
        if quote.bill_id in holder.paid:
            execution.state, execution.reason = "refused", "refused"
            return
        try:
            self._within_means(holder, quote)
        except Refused as refused:
            execution.state, execution.reason = "refused", refused.code
            return
        if quote.bill_id:
            holder.paid.add(quote.bill_id)
        today = self._clock().date()
        holder.book(quote.from_account_id, today, quote.payee, -(quote.amount + quote.fee))
        if quote.to_account_id:
            source = holder.account(quote.from_account_id)
            holder.book(quote.to_account_id, today, holder.called(source), quote.amount)
        execution.state = "executed"
        execution.reference = f"TL{next(self._numbers):08d}"
