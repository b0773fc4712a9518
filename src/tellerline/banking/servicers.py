"""The gRPC services Banking and SecretInput: messages in, the words of banking, messages out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import grpc

from tellerline.banking import messages
from tellerline.banking.authentication import Answer, Authentication
from tellerline.banking.authorisation import Refused
from tellerline.banking.enquiries import Enquiries, SpeculativeWrite
from tellerline.banking.orders import Orders
from tellerline.banking.ports import Bank
from tellerline.banking.postgres import Database
from tellerline.banking.redis import RedisStates
from tellerline.errors import BankUnavailable, BooksAway, IdentitiesAway
from tellerline.rpc import banking_pb2 as pb
from tellerline.rpc import banking_pb2_grpc as rpc

log = logging.getLogger(__name__)

_Reply = TypeVar("_Reply")
_CALL_ID_MAX = 128


@dataclass(frozen=True)
class Teller:
    """All that the services do."""

    bank: Bank
    authentication: Authentication
    enquiries: Enquiries
    orders: Orders
    database: Database
    states: RedisStates


class BankingServicer(rpc.BankingServicer):
    """tellerline.v1.Banking, for pipelines."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    async def Authentication(self, request: pb.CallRequest, context: Any) -> pb.AuthenticationReply:
        """See banking.proto."""
        async with _errors(context, request.call_id):
            return messages.authentication(await self._teller.authentication.look(request.call_id))

    async def Accounts(self, request: pb.CallRequest, context: Any) -> pb.AccountsReply:
        """See banking.proto."""

        async def answer() -> pb.AccountsReply:
            accounts = await self._teller.enquiries.accounts(messages.asked(request))
            return pb.AccountsReply(accounts=map(messages.account, accounts))

        return await _answer(context, request, pb.AccountsReply, answer)

    async def Transactions(self, request: pb.TransactionsRequest, context: Any) -> pb.TransactionsReply:
        """See banking.proto."""

        async def answer() -> pb.TransactionsReply:
            asked = messages.asked(request.call)
            entries = await self._teller.enquiries.transactions(asked, request.account_id, request.count)
            return pb.TransactionsReply(transactions=map(messages.transaction, entries))

        return await _answer(context, request.call, pb.TransactionsReply, answer)

    async def Cards(self, request: pb.CallRequest, context: Any) -> pb.CardsReply:
        """See banking.proto."""

        async def answer() -> pb.CardsReply:
            return messages.cards(await self._teller.enquiries.cards(messages.asked(request)))

        return await _answer(context, request, pb.CardsReply, answer)

    async def CardDelivery(self, request: pb.CardRequest, context: Any) -> pb.CardDeliveryReply:
        """See banking.proto."""

        async def answer() -> pb.CardDeliveryReply:
            asked = messages.asked(request.call)
            return messages.card_delivery(await self._teller.enquiries.card_delivery(asked, request.card_id))

        return await _answer(context, request.call, pb.CardDeliveryReply, answer)

    async def BlockCard(self, request: pb.CardRequest, context: Any) -> pb.BlockCardReply:
        """See banking.proto."""

        async def answer() -> pb.BlockCardReply:
            card = await self._teller.enquiries.block_card(messages.asked(request.call), request.card_id)
            return pb.BlockCardReply(blocked=card.blocked, replacement_ordered=card.replacement_ordered)

        return await _answer(context, request.call, pb.BlockCardReply, answer)

    async def Bills(self, request: pb.CallRequest, context: Any) -> pb.BillsReply:
        """See banking.proto."""

        async def answer() -> pb.BillsReply:
            bills = await self._teller.enquiries.bills(messages.asked(request))
            return pb.BillsReply(bills=map(messages.bill, bills))

        return await _answer(context, request, pb.BillsReply, answer)

    async def Payees(self, request: pb.CallRequest, context: Any) -> pb.PayeesReply:
        """See banking.proto."""

        async def answer() -> pb.PayeesReply:
            payees = await self._teller.enquiries.payees(messages.asked(request))
            return pb.PayeesReply(payees=map(messages.payee, payees))

        return await _answer(context, request, pb.PayeesReply, answer)

    async def Quote(self, request: pb.QuoteRequest, context: Any) -> pb.QuoteReply:
        """See banking.proto."""

        async def answer() -> pb.QuoteReply:
            order = messages.order(request)
            return messages.quote(await self._teller.orders.quote(messages.asked(request.call), order))

        return await _answer(context, request.call, pb.QuoteReply, answer)

    async def Execute(self, request: pb.ExecuteRequest, context: Any) -> pb.ExecuteReply:
        """See banking.proto."""

        async def answer() -> pb.ExecuteReply:
            asked = messages.asked(request.call)
            confirmed_by = messages.confirmation(request)
            executed = await self._teller.orders.execute(asked, request.quote_id, request.token, confirmed_by)
            return messages.execution(executed)

        def refused(refusal: str) -> pb.ExecuteReply:
            return pb.ExecuteReply(state=pb.ExecuteReply.REFUSED, refusal=refusal)

        return await _answer(context, request.call, refused, answer)

    async def Branches(self, request: pb.BranchesRequest, context: Any) -> pb.BranchesReply:
        """See banking.proto."""
        async with _errors(context, request.call.call_id):
            branches = await self._teller.enquiries.branches(request.place, request.language)
            return pb.BranchesReply(branches=map(messages.branch, branches))

    async def Forget(self, request: pb.CallRequest, context: Any) -> pb.ForgetReply:
        """See banking.proto."""
        async with _errors(context, request.call_id):
            await self._teller.authentication.forget(request.call_id)
            return pb.ForgetReply()

    async def Status(self, request: pb.BankStatusRequest, context: Any) -> pb.BankStatusReply:
        """See banking.proto."""
        teller = self._teller
        closed = teller.database.away
        try:
            instances = await teller.states.told()
        except IdentitiesAway:
            instances = []
        unsettled = None
        with contextlib.suppress(BooksAway):
            unsettled = await teller.orders.unsettled()
        return pb.BankStatusReply(
            unsettled_orders=unsettled,
            breaker=teller.bank.breaker.value,
            money_closed=closed,
            reason="the database of banking is away" if closed else "",
            instances=(
                pb.InstanceStatus(instance=s.instance, breaker=s.breaker, money_closed=s.money_closed)
                for s in instances
            ),
        )


class SecretInputServicer(rpc.SecretInputServicer):
    """tellerline.v1.SecretInput, for connectors alone."""

    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication

    async def Submit(self, request: pb.SecretRequest, context: Any) -> pb.SecretReply:
        """See banking.proto."""
        async with _errors(context, request.call_id):
            answer = await self._submit(request)
            return pb.SecretReply(outcome=answer.value)

    async def _submit(self, request: pb.SecretRequest) -> Answer:
        if request.digits and not request.digits.isdigit():
            raise messages.Unintelligible("digits are ASCII digits")
        match request.purpose:
            case "customer_number":
                digits = request.digits.decode("ascii")
                return await self._authentication.customer_number(request.call_id, digits, request.caller)
            case "pin":
                return await self._authentication.pin(request.call_id, request.digits, request.caller)
            case _:
                raise messages.Unintelligible("a purpose is customer_number or pin")


async def _answer(
    context: Any,
    call: pb.CallRequest,
    refused_as: Callable[..., _Reply],
    answer: Callable[[], Awaitable[_Reply]],
) -> _Reply:
    async with _errors(context, call.call_id):
        try:
            return await answer()
        except Refused as refused:
            return refused_as(refusal=messages.refusal(refused.refusal))


@contextlib.asynccontextmanager
async def _errors(context: Any, call_id: str) -> AsyncIterator[None]:
    """Ends the RPC with the status banking.proto names; of an error only its code leaves this process."""
    if not call_id or len(call_id) > _CALL_ID_MAX:
        await _end(context, grpc.StatusCode.INVALID_ARGUMENT, "call_id")
    try:
        yield
    except (BankUnavailable, IdentitiesAway) as error:
        await _end(context, grpc.StatusCode.UNAVAILABLE, error.code)
    except SpeculativeWrite as error:
        await _end(context, grpc.StatusCode.FAILED_PRECONDITION, f"{error}: not before the turn is over")
    except messages.Unintelligible as error:
        await _end(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except grpc.aio.AbortError:
        raise
    except Exception:
        # gRPC would answer with the exception's text.
        log.exception("an operation failed")
        await _end(context, grpc.StatusCode.INTERNAL, "internal")


async def _end(context: Any, status: grpc.StatusCode, detail: str) -> NoReturn:
    await context.abort(status, detail)
    raise AssertionError("abort raises")
