"""The books of the sandbox bank: who has what. In memory, no I/O."""

from __future__ import annotations

import hmac
from datetime import timedelta

from tellerline.sandbox_bank import holder, seed
from tellerline.sandbox_bank.holder import Clock, Holder, Json, Refused, only
from tellerline.sandbox_bank.orders import Orders


class Ledger:
    """All customers' books. Answers are the JSON of docs/bank-api.yaml; a no is raised as Refused.

    Orders of money are in `orders`.
    """

    def __init__(self, seeds: seed.Seed, clock: Clock = holder.utc_now) -> None:
        self._seeds = seeds
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Puts everything back as seeded."""
        self._holders = {c.customer_id: holder.new(c) for c in self._seeds.customers}
        self.orders = Orders(self._clock)

    # ---- who

    def find(self, customer_number: str) -> Json:
        """Who has this number."""
        return _who(only(c for c in self._seeds.customers if c.customer_number == customer_number))

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
        whose = self.holder(customer_id)
        return {"accounts": [_account(whose, account) for account in whose.customer.accounts]}

    def transactions(self, customer_id: str, account_id: str, count: int) -> Json:
        """The newest `count` entries."""
        whose = self.holder(customer_id)
        whose.account(account_id)
        today = self._clock().date()
        seeded = [
            (today + timedelta(days=t.days), t.description, t.amount)
            for t in whose.customer.transactions.get(account_id, ())
        ]
        newest = sorted(whose.booked.get(account_id, [])[::-1] + seeded, key=lambda e: e[0], reverse=True)
        return {
            "transactions": [
                {"booked_on": day.isoformat(), "description": text, "amount": whose.money(amount)}
                for day, text, amount in newest[:count]
            ]
        }

    def cards(self, customer_id: str) -> Json:
        """Cards, blocked ones included."""
        whose = self.holder(customer_id)
        return {
            "cards": [
                {
                    "card_id": card.card_id,
                    "kind": card.kind,
                    "ending": card.ending,
                    "state": "blocked" if card.card_id in whose.blocked else card.state,
                }
                for card in whose.customer.cards
            ]
        }

    def card_delivery(self, customer_id: str, card_id: str) -> Json:
        """Where a card is that was sent out."""
        whose = self.holder(customer_id)
        card = only(c for c in whose.customer.cards if c.card_id == card_id and c.delivery)
        assert card.delivery is not None
        return {
            "status": card.delivery.status,
            "posted_on": self._day(card.delivery.posted_days),
            "expected_on": self._day(card.delivery.expected_days),
        }

    def block_card(self, customer_id: str, card_id: str) -> Json:
        """Blocks a card and orders another, once."""
        whose = self.holder(customer_id)
        card = only(c for c in whose.customer.cards if c.card_id == card_id)
        whose.blocked.add(card.card_id)
        # One that was blocked before it came here has its successor long ago.
        return {"blocked": True, "replacement_ordered": card.state != "blocked"}

    def bills(self, customer_id: str) -> Json:
        """Bills not paid, the next due first."""
        whose = self.holder(customer_id)
        due = [bill for bill in whose.customer.bills if bill.bill_id not in whose.paid]
        return {
            "bills": [
                {
                    "bill_id": bill.bill_id,
                    "biller": bill.biller,
                    "amount": whose.money(bill.amount),
                    "due_on": self._day(bill.due_days),
                }
                for bill in sorted(due, key=lambda bill: bill.due_days)
            ]
        }

    def payees(self, customer_id: str) -> Json:
        """Whom the customer may send money to."""
        whose = self.holder(customer_id)
        return {"payees": [p.model_dump(exclude={"canonical"}) for p in whose.customer.payees]}

    def holder(self, customer_id: str) -> Holder:
        """One customer's part; Refused where there is no such customer."""
        found = self._holders.get(customer_id)
        if found is None:
            raise Refused("not_found")
        return found

    def moved(self) -> list[Json]:
        """Every execution so far, in order of arrival."""
        return self.orders.moved()

    def _day(self, days: int | None) -> str | None:
        return None if days is None else (self._clock().date() + timedelta(days=days)).isoformat()


def _account(whose: Holder, account: seed.Account) -> Json:
    return {
        "account_id": account.account_id,
        "kind": account.kind,
        "name": account.name,
        "ending": account.ending,
        "balance": whose.money(whose.balances[account.account_id]),
        "available": whose.money(whose.available(account)),
    }


def _who(customer: seed.Customer) -> Json:
    return {"customer_id": customer.customer_id, "language": customer.language}
