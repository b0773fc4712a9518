"""Moving money: quote, one-use token, intent written first, bank asked once, doubt resolved by asking.

Theory of operation. `quote` has the bank say what an order would do, writes that down and hands out a token
that is bound to it. `execute` opens one transaction that checks the token and the limits and writes the
intent with its audit entry; only when it has committed is the bank asked, under a key made of the quote's id,
and once. What the bank says is written and told. Where it says nothing (time-out, lost connection), or where
this process dies at whatever step, the intent stands as a doubt that `Doubts` resolves by asking the bank
what became of the key. No order is ever sent a second time.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from uuid import UUID, uuid4

from tellerline.banking import books, model
from tellerline.banking.authorisation import Identity, Refusal, Refused
from tellerline.banking.books import OrderRow, OrderState
from tellerline.banking.enquiries import Asked, Desk, SpeculativeWrite, refusal_of
from tellerline.banking.ports import Bank
from tellerline.banking.sealing import SealBroken, Sealing
from tellerline.errors import BankInDoubt, BankRefusal, BankUnavailable, BooksAway
from tellerline.monitoring import metrics
from tellerline.settings import TransferLimits

log = logging.getLogger(__name__)

# By then a caller is told that it is pending: pipelines give up soon after.
_ANSWER_SECONDS = 4.5
# From then on anybody may ask the bank about an intent: its executor, at 5 s a call, is done or dead.
_ASK_SECONDS = 15.0
# Between two questions about an order: so much longer each time, up to a minute. Asking does no harm.
_AGAIN_SECONDS = 2.0
# How much the bank's clock may differ from the database's.
_MARGIN_SECONDS = 60.0


class Quoted:
    """What is read back, and the token that says it was."""

    def __init__(self, quote_id: UUID, quote: model.Quote, token: bytes, valid_seconds: int) -> None:
        self.quote_id = quote_id
        self.quote = quote
        self.token = token
        self.valid_seconds = valid_seconds


class Orders:
    """Quotes and executes orders for the customer a call is authenticated as."""

    def __init__(
        self,
        desk: Desk,
        orders: books.Orders,
        sealing: Sealing,
        limits: TransferLimits,
        *,
        quote_seconds: int = 120,
    ) -> None:
        self._desk = desk
        self._orders = orders
        self._sealing = sealing
        self._limits = limits
        self._quote_seconds = quote_seconds
        self._running: set[asyncio.Task[OrderRow]] = set()

    async def unsettled(self) -> int:
        """How many orders, of any instance, nobody knows the outcome of yet. Raises BooksAway."""
        return await self._orders.unsettled()

    async def quote(self, asked: Asked, order: model.Order) -> Quoted:
        """What `order` would do, in the bank's words, with a token for `execute`.

        Raises Refused, BankUnavailable, IdentitiesAway, SpeculativeWrite.
        """
        if asked.speculative:
            raise SpeculativeWrite("quote")
        return await self._desk.ask("quote", asked, lambda identity: self._quote(asked, identity, order))

    async def _quote(self, asked: Asked, identity: Identity, order: model.Order) -> Quoted:
        customer = self._desk.pseudonym(identity)
        try:
            # Asked before the bank: where money is closed or the limit is spent, no quote is needed.
            spent = await self._orders.spent(asked.call_id, customer)
            if isinstance(order, model.TransferOrder):
                self._within_limits(spent, order.amount)
            quote = await self._desk.bank.quote(identity.customer_id, order)
            self._within_limits(spent, quote.amount)
            row = _row(asked, customer, order, quote)
            left = int((quote.valid_until - datetime.now(UTC)).total_seconds())
            valid_seconds = max(1, min(self._quote_seconds, left))
            detail = _told(row)
            await self._orders.keep(
                row, valid_seconds, books.Event("order_quoted", asked.call_id, customer, detail)
            )
        except BooksAway as error:
            raise Refused(Refusal.CLOSED) from error
        return Quoted(row.quote_id, quote, self._sealing.token(*row.bound()), valid_seconds)

    async def execute(self, asked: Asked, quote_id: str, token: bytes, confirmed_by: str) -> OrderRow:
        """Executes a quote once; asked again, tells what became of it. Answers within 4.5 s.

        The order goes on when the asker is cancelled or goes away. Raises Refused, BankUnavailable,
        IdentitiesAway, SpeculativeWrite.
        """
        if asked.speculative:
            raise SpeculativeWrite("execute")
        task = asyncio.create_task(self._execute(asked, quote_id, token, confirmed_by))
        self._running.add(task)
        task.add_done_callback(self._ended)
        # Waiting cancels nothing: neither an asker that goes away nor our patience ends an order.
        done, _ = await asyncio.wait({task}, timeout=_ANSWER_SECONDS)
        return task.result() if done else OrderRow(OrderState.IN_DOUBT)

    async def finish(self) -> None:
        """Waits for the orders that are under way."""
        if self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[OrderRow]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("an order ended with %s", type(error).__name__)

    async def _execute(self, asked: Asked, quote_id: str, token: bytes, confirmed_by: str) -> OrderRow:
        async def go(identity: Identity) -> OrderRow:
            try:
                intent, ledger, standing = await self._begin(asked, identity, quote_id, token, confirmed_by)
            except BooksAway as error:
                raise Refused(Refusal.CLOSED) from error
            if standing is not None:
                return standing
            return await self._send(identity, ledger.quote, intent)

        return await self._desk.ask("execute", asked, go)

    async def _begin(
        self, asked: Asked, identity: Identity, quote_id: str, token: bytes, confirmed_by: str
    ) -> tuple[str, books.Ledger, OrderRow | None]:
        key = f"tellerline-{quote_id}"
        customer = self._desk.pseudonym(identity)

        def decide(ledger: books.Ledger | None) -> OrderRow | books.Intent:
            if ledger is None or not self._sealing.good_token(token, *ledger.quote.bound()):
                raise Refused(Refusal.TOKEN_REFUSED)
            if (ledger.quote.call_id, ledger.quote.customer) != (asked.call_id, customer):
                raise Refused(Refusal.TOKEN_REFUSED)
            if ledger.order is not None:
                return ledger.order
            if ledger.expired:
                raise Refused(Refusal.TOKEN_REFUSED)
            self._within_limits(ledger.spent, ledger.quote.amount)
            detail = _told(ledger.quote) | {"confirmed_by": confirmed_by, "key": key}
            return books.Intent(
                idempotency_key=key,
                confirmed_by=confirmed_by,
                sealed_customer=self._sealing.seal(identity.customer_id.encode(), key),
                ask_seconds=_ASK_SECONDS,
                event=books.Event("order_intended", asked.call_id, customer, detail),
            )

        try:
            known = UUID(quote_id)
        except ValueError as error:
            raise Refused(Refusal.TOKEN_REFUSED) from error
        ledger, standing = await self._orders.begin(known, decide)
        return key, ledger, standing

    async def _send(self, identity: Identity, quote: books.QuoteRow, key: str) -> OrderRow:
        try:
            execution = await self._desk.bank.execute(identity.customer_id, quote.bank_quote_id, key)
            row = row_of(execution)
        except BankInDoubt:
            row = OrderRow(OrderState.IN_DOUBT)
        except BankRefusal as refusal:
            row = OrderRow(OrderState.REFUSED, refusal=refusal_of(refusal.reason))
        except BankUnavailable:
            # Surely not sent: the order is dead, the caller may have it quoted anew.
            await self._settle(quote, OrderRow(OrderState.REFUSED, refusal=Refusal.REFUSED_BY_BANK))
            raise
        return await self._settle(quote, row)

    async def _settle(self, quote: books.QuoteRow, row: OrderRow) -> OrderRow:
        try:
            return await self._orders.settle(quote.quote_id, row, event_of(quote, row))
        except BooksAway:
            # The intent is written; Doubts will ask the bank and write the same. The caller is told already.
            log.warning("an order's outcome could not be written, and will be asked for again")
            return row

    def _within_limits(self, spent: books.Spent, amount: model.Money) -> None:
        if spent.call + amount.minor_units > self._limits.per_call:
            raise Refused(Refusal.LIMIT_PER_CALL)
        if spent.day + amount.minor_units > self._limits.per_day:
            raise Refused(Refusal.LIMIT_PER_DAY)


class Doubts:
    """Resolves orders nobody settled, of this instance and of those that died, by asking the bank."""

    def __init__(self, bank: Bank, orders: books.Orders, sealing: Sealing) -> None:
        self._bank = bank
        self._orders = orders
        self._sealing = sealing

    async def run(self, every_seconds: float = 1.0) -> None:
        """Resolves until cancelled."""
        while True:
            try:
                while await self.resolve():
                    pass
                metrics.BANKING_DOUBTS.set(await self._orders.unsettled())
            except BooksAway:
                pass
            await asyncio.sleep(every_seconds)

    async def resolve(self, count: int = 8) -> int:
        """Asks about up to `count` orders whose time has come; returns how many. Raises BooksAway."""
        doubts = await self._orders.doubts(count, _AGAIN_SECONDS, _MARGIN_SECONDS)
        await asyncio.gather(*(self._ask(doubt) for doubt in doubts))
        return len(doubts)

    async def _ask(self, doubt: books.Doubt) -> None:
        try:
            customer_id = self._sealing.open(doubt.sealed_customer, doubt.idempotency_key).decode()
            execution = await self._bank.execution(customer_id, doubt.idempotency_key)
        except SealBroken:
            log.error(
                "order %s: its customer cannot be read; was the audit key changed?", doubt.quote.quote_id
            )
            return
        except (BankUnavailable, BankRefusal) as error:
            log.warning("order %s stays in doubt: %s", doubt.quote.quote_id, error.code)
            return
        if execution is None:
            if not doubt.lapsed:
                return
            # The bank has not seen it, and takes the quote no longer: it did not happen and never will.
            row = OrderRow(OrderState.REFUSED, refusal=Refusal.REFUSED_BY_BANK)
        else:
            row = row_of(execution)
        await self._orders.settle(doubt.quote.quote_id, row, event_of(doubt.quote, row))
        metrics.BANKING_RESOLVED.labels(outcome=row.state.value).inc()


def row_of(execution: model.Execution) -> OrderRow:
    """What the bank did, as it is written down."""
    match execution.state:
        case model.ExecutionState.EXECUTED:
            return OrderRow(OrderState.EXECUTED, reference=execution.reference)
        case model.ExecutionState.REFUSED:
            return OrderRow(OrderState.REFUSED, refusal=refusal_of(execution.reason))
        case model.ExecutionState.PENDING:
            return OrderRow(OrderState.IN_DOUBT)


def event_of(quote: books.QuoteRow, row: OrderRow) -> books.Event:
    """The audit of an order's outcome."""
    action = {
        OrderState.EXECUTED: "order_executed",
        OrderState.REFUSED: "order_refused",
        OrderState.IN_DOUBT: "order_in_doubt",
    }[row.state]
    detail = _told(quote) | {
        "reference": row.reference,
        "refusal": row.refusal.value if row.refusal else None,
    }
    return books.Event(action, quote.call_id, quote.customer, detail)


def _told(quote: books.QuoteRow) -> dict[str, str | int | bool | None]:
    return {
        "quote": str(quote.quote_id),
        "kind": quote.kind,
        "from": quote.from_account_id,
        "to": quote.to_id,
        "amount": quote.amount.minor_units,
        "fee": quote.fee.minor_units,
        "currency": quote.amount.currency,
    }


def _row(asked: Asked, customer: str, order: model.Order, quote: model.Quote) -> books.QuoteRow:
    if isinstance(order, model.TransferOrder):
        kind, to_id = "transfer", order.payee_id or order.to_account_id or ""
    else:
        kind, to_id = "bill", order.bill_id
    return books.QuoteRow(
        quote_id=uuid4(),
        call_id=asked.call_id,
        customer=customer,
        bank_quote_id=quote.quote_id,
        kind=kind,
        from_account_id=order.from_account_id,
        to_id=to_id,
        amount=quote.amount,
        fee=quote.fee,
        bank_valid_until=quote.valid_until,
    )
