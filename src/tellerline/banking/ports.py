"""What banking needs of the bank's own system."""

from __future__ import annotations

from typing import Protocol

from tellerline.banking import model

# Whether the bank is asked at all. The values are metric labels and BankStatusReply.breaker.
from tellerline.breaker import BreakerState as BreakerState


class Bank(Protocol):
    """The bank's own system.

    Every operation ends within the configured timeout, retries included. Every operation raises

    * BankUnavailable when the bank could not be asked or gave no usable answer: nothing was done, or asking
      again does no harm;
    * BankRefusal, with a RefusalReason, when the bank says no (NOT_FOUND covers another customer's things).

    `execute` alone raises BankInDoubt besides: it may or may not have been done.

    Customer, account, card, bill and payee ids are the bank's references. A `customer_id` comes from
    `check_pin` or `find_customer`, never from what a caller said.
    """

    @property
    def breaker(self) -> BreakerState:
        """Whether the bank is being asked at all; while OPEN everything raises BankUnavailable at once."""
        ...

    async def find_customer(self, customer_number: str) -> model.Customer | None:
        """Who has this customer number; None: nobody. Proves nothing about the caller."""
        ...

    async def check_pin(self, customer_number: str, pin: bytes) -> model.PinCheck:
        """Has the bank compare a PIN (ASCII digits). Never sent twice: a bank may count attempts as well."""
        ...

    async def accounts(self, customer_id: str) -> tuple[model.Account, ...]:
        """The customer's accounts, in the bank's order."""
        ...

    async def transactions(
        self, customer_id: str, account_id: str, count: int = 5
    ) -> tuple[model.Transaction, ...]:
        """The newest `count` (1 to 50) transactions of an account, newest first."""
        ...

    async def cards(self, customer_id: str) -> tuple[model.Card, ...]:
        """The customer's cards, in the bank's order."""
        ...

    async def card_delivery(self, customer_id: str, card_id: str) -> model.CardDelivery:
        """Where a card is. NOT_FOUND also where the bank sent none out."""
        ...

    async def block_card(self, customer_id: str, card_id: str, idempotency_key: str) -> model.BlockedCard:
        """Blocks a card for good. Safe to ask again, with the same key or with another."""
        ...

    async def bills(self, customer_id: str) -> tuple[model.Bill, ...]:
        """Bills that are due and not paid, the next due first."""
        ...

    async def payees(self, customer_id: str) -> tuple[model.Payee, ...]:
        """Whom the customer may send money to."""
        ...

    async def quote(self, customer_id: str, order: model.Order) -> model.Quote:
        """What `order` would do. Moves nothing and holds nothing."""
        ...

    async def execute(self, customer_id: str, quote_id: str, idempotency_key: str) -> model.Execution:
        """Does what a quote says, once for a key, however often it arrives. Sent once and never retried.

        A refusal of the order itself is an Execution in state REFUSED. Raises BankUnavailable only where the
        request surely did not leave this machine, BankInDoubt wherever it may have reached the bank: then
        ask `execution`. Cancelled, it is in doubt as well.
        """
        ...

    async def execution(self, customer_id: str, idempotency_key: str) -> model.Execution | None:
        """What became of an order, by its key; None: the bank has not seen the key.

        None is final only after the quote's `valid_until` (by the bank's clock): until then a request that
        was held up on its way may still arrive and be executed; after it the bank refuses.
        """
        ...

    async def branches(self, place: str = "", language: str = "") -> tuple[model.Branch, ...]:
        """Branches in or near `place`, nearest first; the main branch for "", none for an unknown place.

        `language` (ISO 639-1) is the caller's: a bank of several countries answers for the right one.
        """
        ...
