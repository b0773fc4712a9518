"""What a committed plan writes: a card blocked, an order quoted, a quote executed once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TypeVar

from tellerline.pipeline.bank import BankAway, CallsBank
from tellerline.pipeline.flows.events import Blocked, Executed, Quoted, Result
from tellerline.pipeline.flows.plan import Block, Execute, Quote, Write
from tellerline.rpc import banking_pb2 as pb

log = logging.getLogger(__name__)

Reply = TypeVar("Reply")


class Writer:
    """One call's writes. Its quotes' one-use tokens stay here and leave this process for banking alone."""

    def __init__(self, bank: CallsBank) -> None:
        self._bank = bank
        self._tokens: dict[str, bytes] = {}

    async def run(self, write: Write) -> Result:
        """What the bank made of it. Raises Refused for what the caller has to prove first."""
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
