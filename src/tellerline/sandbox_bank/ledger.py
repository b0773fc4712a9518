"""The books of the sandbox bank: who has what, and money that moves once for a key. In memory, no I/O."""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, TypeVar

from tellerline.sandbox_bank import seed

Json = dict[str, Any]
Clock = Callable[[], datetime]
_Thing = TypeVar("_Thing")

# More than this leaves no account in one order.
_ORDER_MAX = 50_000_00
_QUOTE_VALID = timedelta(minutes=2)
_OWN_ACCOUNT = {
    "en": {"current": "Current account", "savings": "Savings account", "credit_card": "Credit card"},
    "tr": {"current": "Vadesiz hesap", "savings": "Vadeli hesap", "credit_card": "Kredi kartı"},
}


class Refused(Exception):
    """The bank says no; `code` is a Reason of the contract."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def utc_now() -> datetime:
    """The bank's clock."""
    return datetime.now(UTC)


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


@dataclass
class _Holder:
    """One customer's part of the books."""

    customer: seed.Customer
    balances: dict[str, int]
    blocked: set[str] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)
    booked: dict[str, list[tuple[date, str, int]]] = field(default_factory=dict)

    def account(self, account_id: str) -> seed.Account:
        return _only(a for a in self.customer.accounts if a.account_id == account_id)

    def available(self, account: seed.Account) -> int:
        return self.balances[account.account_id] + account.overdraft + account.credit


class Ledger:
    """All customers' books. Answers are the JSON of docs/bank-api.yaml; a no is raised as Refused."""

    def __init__(self, seeds: seed.Seed, clock: Clock = utc_now) -> None:
        self._seeds = seeds
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Puts everything back as seeded."""
        self._holders = {c.customer_id: _new_holder(c) for c in self._seeds.customers}
        self._quotes: dict[str, _Quote] = {}
        self._executions: dict[tuple[str, str], _Execution] = {}
        self._numbers = itertools.count(1)

    # ---- who

    def find(self, customer_number: str) -> Json:
        """Who has this number."""
        return _who(_only(c for c in self._seeds.customers if c.customer_number == customer_number))

    def check_pin(self, customer_number: str, pin: str) -> Json:
        """Compares; takes as long for an unknown number as for a wrong PIN."""
        customer = next((c for c in self._seeds.customers if c.customer_number == customer_number), None)
        right = hmac.compare_digest((customer.pin if customer else "none").encode(), pin.encode())
        if customer is None or not (right or customer.pin_locked):
            return {"outcome": "refused", "customer": None}
        if customer.pin_locked:
            return {"outcome": "locked", "customer": None}
        return {"outcome": "verified", "customer": _who(customer)}

    # ---- what they have

    def accounts(self, customer_id: str) -> Json:
        """Accounts with balances as of now."""
        holder = self._holder(customer_id)
        return {"accounts": [self._account(holder, account) for account in holder.customer.accounts]}

    def transactions(self, customer_id: str, account_id: str, count: int) -> Json:
        """The newest `count` entries."""
        holder = self._holder(customer_id)
        holder.account(account_id)
        today = self._clock().date()
        seeded = [
            (today + timedelta(days=t.days), t.description, t.amount)
            for t in holder.customer.transactions.get(account_id, ())
        ]
        newest = sorted(holder.booked.get(account_id, [])[::-1] + seeded, key=lambda e: e[0], reverse=True)
        currency = holder.customer.currency
        return {
            "transactions": [
                {"booked_on": day.isoformat(), "description": text, "amount": _money(amount, currency)}
                for day, text, amount in newest[:count]
            ]
        }

    def cards(self, customer_id: str) -> Json:
        """Cards, blocked ones included."""
        holder = self._holder(customer_id)
        return {
            "cards": [
                {
                    "card_id": card.card_id,
                    "kind": card.kind,
                    "ending": card.ending,
                    "state": "blocked" if card.card_id in holder.blocked else card.state,
                }
                for card in holder.customer.cards
            ]
        }

    def card_delivery(self, customer_id: str, card_id: str) -> Json:
        """Where a card is that was sent out."""
        holder = self._holder(customer_id)
        card = _only(c for c in holder.customer.cards if c.card_id == card_id and c.delivery)
        assert card.delivery is not None
        return {
            "status": card.delivery.status,
            "posted_on": self._day(card.delivery.posted_days),
            "expected_on": self._day(card.delivery.expected_days),
        }

    def block_card(self, customer_id: str, card_id: str) -> Json:
        """Blocks a card and orders another, once."""
        holder = self._holder(customer_id)
        card = _only(c for c in holder.customer.cards if c.card_id == card_id)
        holder.blocked.add(card.card_id)
        # One that was blocked before it came here has its successor long ago.
        return {"blocked": True, "replacement_ordered": card.state != "blocked"}

    def bills(self, customer_id: str) -> Json:
        """Bills not paid, the next due first."""
        holder = self._holder(customer_id)
        due = [bill for bill in holder.customer.bills if bill.bill_id not in holder.paid]
        currency = holder.customer.currency
        return {
            "bills": [
                {
                    "bill_id": bill.bill_id,
                    "biller": bill.biller,
                    "amount": _money(bill.amount, currency),
                    "due_on": self._day(bill.due_days),
                }
                for bill in sorted(due, key=lambda bill: bill.due_days)
            ]
        }

    def payees(self, customer_id: str) -> Json:
        """Whom the customer may send money to."""
        holder = self._holder(customer_id)
        return {"payees": [p.model_dump(exclude={"canonical"}) for p in holder.customer.payees]}

    # ---- orders of money

    def quote(self, customer_id: str, order: Json) -> Json:
        """What an order would do; remembered until it expires."""
        holder = self._holder(customer_id)
        quote = self._bill(holder, order) if order["kind"] == "bill" else self._transfer(holder, order)
        self._within_means(holder, quote)
        self._quotes[quote.quote_id] = quote
        source = holder.account(quote.from_account_id)
        currency = holder.customer.currency
        return {
            "quote_id": quote.quote_id,
            "payee": quote.payee,
            "payee_ending": quote.payee_ending,
            "from_kind": source.kind,
            "from_ending": source.ending,
            "amount": _money(quote.amount, currency),
            "fee": _money(quote.fee, currency),
            "valid_until": quote.valid_until.isoformat(),
        }

    def execute(self, customer_id: str, quote_id: str, key: str, *, pending: bool = False) -> Json:
        """Does what a quote says, once for a key; `pending`: takes the order and leaves it for later."""
        holder = self._holder(customer_id)
        known = self._executions.get((customer_id, key))
        if known is not None:
            if known.quote_id != quote_id:
                raise Refused("key_reused")
            return known.shown()
        execution = _Execution(key, quote_id, "pending")
        self._executions[customer_id, key] = execution
        quote = self._quotes.get(quote_id)
        if quote is None or quote.customer_id != customer_id:
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

    def execution(self, customer_id: str, key: str) -> Json:
        """What became of an order. One that was left pending is told as such once, then done."""
        holder = self._holder(customer_id)
        execution = self._executions.get((customer_id, key))
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

    def _bill(self, holder: _Holder, order: Json) -> _Quote:
        due = (b for b in holder.customer.bills if b.bill_id == order["bill_id"])
        bill = _only(b for b in due if b.bill_id not in holder.paid)
        source = holder.account(order["from_account_id"])
        quote = self._new_quote(holder, source, bill.biller, "", bill.amount, 0)
        return replace(quote, bill_id=bill.bill_id)

    def _transfer(self, holder: _Holder, order: Json) -> _Quote:
        customer = holder.customer
        source = holder.account(order["from_account_id"])
        amount = order["amount"]["minor_units"]
        if order["amount"]["currency"] != customer.currency or amount <= 0:
            raise Refused("refused")
        if amount > _ORDER_MAX:
            raise Refused("limit_exceeded")
        if order.get("payee_id"):
            payee = _only(p for p in customer.payees if p.payee_id == order["payee_id"])
            name = payee.canonical or payee.name
            return self._new_quote(holder, source, name, payee.ending, amount, customer.transfer_fee)
        target = holder.account(order["to_account_id"])
        if target.account_id == source.account_id:
            raise Refused("refused")
        name = target.name or _OWN_ACCOUNT[customer.language][target.kind]
        quote = self._new_quote(holder, source, name, target.ending, amount, 0)
        return replace(quote, to_account_id=target.account_id)

    def _new_quote(
        self, holder: _Holder, source: seed.Account, payee: str, ending: str, amount: int, fee: int
    ) -> _Quote:
        quote_id = f"quote-{next(self._numbers):06d}"
        until = self._clock() + _QUOTE_VALID
        return _Quote(
            quote_id, holder.customer.customer_id, source.account_id, payee, ending, amount, fee, until
        )

    def _within_means(self, holder: _Holder, quote: _Quote) -> None:
        source = holder.account(quote.from_account_id)
        if quote.amount + quote.fee > holder.available(source):
            raise Refused("insufficient_funds")

    def _settle(self, holder: _Holder, quote: _Quote, execution: _Execution) -> None:
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
        self._book(holder, quote.from_account_id, quote.payee, -(quote.amount + quote.fee))
        if quote.to_account_id:
            source = holder.account(quote.from_account_id)
            name = source.name or _OWN_ACCOUNT[holder.customer.language][source.kind]
            self._book(holder, quote.to_account_id, name, quote.amount)
        execution.state = "executed"
        execution.reference = f"TL{next(self._numbers):08d}"

    def _book(self, holder: _Holder, account_id: str, description: str, amount: int) -> None:
        holder.balances[account_id] += amount
        holder.booked.setdefault(account_id, []).append((self._clock().date(), description, amount))

    def _holder(self, customer_id: str) -> _Holder:
        holder = self._holders.get(customer_id)
        if holder is None:
            raise Refused("not_found")
        return holder

    def _account(self, holder: _Holder, account: seed.Account) -> Json:
        currency = holder.customer.currency
        return {
            "account_id": account.account_id,
            "kind": account.kind,
            "name": account.name,
            "ending": account.ending,
            "balance": _money(holder.balances[account.account_id], currency),
            "available": _money(holder.available(account), currency),
        }

    def _day(self, days: int | None) -> str | None:
        return None if days is None else (self._clock().date() + timedelta(days=days)).isoformat()


def _new_holder(customer: seed.Customer) -> _Holder:
    return _Holder(customer, {account.account_id: account.balance for account in customer.accounts})


def _only(found: Iterator[_Thing]) -> _Thing:
    """The first of `found`; Refused where the bank has no such thing."""
    for thing in found:
        return thing
    raise Refused("not_found")


def _who(customer: seed.Customer) -> Json:
    return {"customer_id": customer.customer_id, "language": customer.language}


def _money(amount: int, currency: str) -> Json:
    return {"minor_units": amount, "currency": currency}
