"""The bank as one call sees it: read-only questions, orders, and what became of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from tellerline.rpc import banking_pb2 as pb

# Above the banking service's own 5 s for the bank, below a turn's deadline.
SECONDS = 5.5
RETRY_SECONDS = 0.2
# gRPC's own words for a request that never left.
_NOT_CONNECTED = "failed to connect"
# A PIN that was typed may have to be asked for again; everything else tells why it cannot be.
_ASK_AGAIN = (pb.NOT_AUTHENTICATED, pb.STALE, pb.CLOSED)


class BankAway(Exception):
    """The bank or the banking service could not be reached; nobody knows more."""


class Refused(Exception):
    """Banking did not do what was asked of it; `refusal` says why."""

    def __init__(self, refusal: int) -> None:
        super().__init__(pb.Refusal.Name(refusal))
        self.refusal = refusal


@dataclass(frozen=True)
class Asked:
    """One question to the bank, for the call's record."""

    tool: str
    outcome: str
    speculative: bool
    took_ms: int


class Caller(Protocol):
    """What is needed of instances.Instances."""

    async def call(self, rpc: str, request: Any, within_seconds: float) -> Any:
        """The reply; raises grpc.aio.AioRpcError."""


class CallsBank:
    """One call's side of the banking service.

    Every method raises BankAway where it cannot be reached and Refused for what the caller may not do now;
    other refusals are in the reply. `asked` gets a note of each question; `turn_id()` is the turn it is for.
    """

    def __init__(
        self, banking: Caller, call_id: str, turn_id: Callable[[], int], asked: Callable[[Asked], None]
    ) -> None:
        self._banking = banking
        self._call_id = call_id
        self._turn_id = turn_id
        self._asked = asked

    def _call(self, speculative: bool = False) -> pb.CallRequest:
        return pb.CallRequest(call_id=self._call_id, turn_id=self._turn_id(), speculative=speculative)

    async def _ask(self, tool: str, method: str, request: Any, speculative: bool = False) -> Any:
        began = time.monotonic()
        outcome = "unavailable"
        try:
            reply = await self._reach(method, request)
            outcome = _outcome(reply)
        except grpc.aio.AioRpcError as error:
            raise BankAway(f"banking: {method} failed ({error.code().name})") from error
        finally:
            took_ms = round((time.monotonic() - began) * 1000)
            self._asked(Asked(tool, outcome, speculative, took_ms))
        if getattr(reply, "refusal", 0) in _ASK_AGAIN:
            raise Refused(reply.refusal)
        return reply

    async def _reach(self, method: str, request: Any) -> Any:
        try:
            return await self._banking.call(method, request, SECONDS)
        except grpc.aio.AioRpcError as error:
            if not str(error.details()).startswith(_NOT_CONNECTED):
                raise
        # A connection that is only being made counts as away (bootstrap.CHANNEL_OPTIONS: 100 ms, passed on a
        # busy host); every operation bears being asked twice.
        await asyncio.sleep(RETRY_SECONDS)
        return await self._banking.call(method, request, SECONDS - RETRY_SECONDS)

    async def authentication(self, speculative: bool = False) -> pb.AuthenticationReply:
        """Who the call is authenticated as."""
        reply: pb.AuthenticationReply = await self._ask(
            "authentication", "Authentication", self._call(speculative), speculative
        )
        return reply

    async def accounts(self, speculative: bool = False) -> list[pb.Account]:
        """The customer's accounts, in the order they are told in."""
        reply = await self._ask("accounts", "Accounts", self._call(speculative), speculative)
        return list(reply.accounts)

    async def transactions(
        self, account_id: str, count: int, speculative: bool = False
    ) -> list[pb.Transaction]:
        """The newest transactions of an account, newest first."""
        request = pb.TransactionsRequest(call=self._call(speculative), account_id=account_id, count=count)
        reply = await self._ask("transactions", "Transactions", request, speculative)
        return list(reply.transactions)

    async def cards(self, speculative: bool = False) -> list[pb.Card]:
        """The customer's cards."""
        reply = await self._ask("cards", "Cards", self._call(speculative), speculative)
        return list(reply.cards)

    async def card_delivery(self, card_id: str, speculative: bool = False) -> pb.CardDeliveryReply:
        """Where a card is that was sent to its customer."""
        request = pb.CardRequest(call=self._call(speculative), card_id=card_id)
        reply: pb.CardDeliveryReply = await self._ask("card_delivery", "CardDelivery", request, speculative)
        return reply

    async def bills(self, speculative: bool = False) -> list[pb.Bill]:
        """Bills that are due."""
        reply = await self._ask("bills", "Bills", self._call(speculative), speculative)
        return list(reply.bills)

    async def payees(self, speculative: bool = False) -> list[pb.Payee]:
        """Whom the customer may send money to."""
        reply = await self._ask("payees", "Payees", self._call(speculative), speculative)
        return list(reply.payees)

    async def branches(self, place: str, code: str, speculative: bool = False) -> list[pb.Branch]:
        """Branches at a place, or the main one, where language `code` is spoken."""
        request = pb.BranchesRequest(call=self._call(speculative), place=place, language=code)
        reply = await self._ask("branches", "Branches", request, speculative)
        return list(reply.branches)

    # ---- what is never speculative

    async def block_card(self, card_id: str) -> pb.BlockCardReply:
        """Blocks a card."""
        request = pb.CardRequest(call=self._call(), card_id=card_id)
        reply: pb.BlockCardReply = await self._ask("block_card", "BlockCard", request)
        return reply

    async def quote(self, order: pb.TransferOrder | pb.BillOrder) -> pb.QuoteReply:
        """What an order would do, with a one-use token."""
        request = pb.QuoteRequest(call=self._call())
        if isinstance(order, pb.BillOrder):
            request.bill.CopyFrom(order)
        else:
            request.transfer.CopyFrom(order)
        reply: pb.QuoteReply = await self._ask("quote", "Quote", request)
        return reply

    async def execute(self, quote_id: str, token: bytes, confirmed_by: str) -> pb.ExecuteReply:
        """Executes a quote; asked again it does nothing more."""
        request = pb.ExecuteRequest(
            call=self._call(), quote_id=quote_id, token=token, confirmed_by=confirmed_by
        )
        reply: pb.ExecuteReply = await self._ask("execute", "Execute", request)
        return reply

    async def forget(self) -> None:
        """The call is over: banking need not know any more who it was."""
        await self._ask("forget", "Forget", self._call())


def _outcome(reply: Any) -> str:
    if isinstance(reply, pb.ExecuteReply) and reply.state == pb.ExecuteReply.PENDING:
        return "in_doubt"
    return "refused" if getattr(reply, "refusal", 0) else "done"
