"""Attempts, quotes and executions in PostgreSQL: a transaction for each step, with its audit entry."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from tellerline.banking import books
from tellerline.banking.authorisation import Refusal
from tellerline.banking.model import Money
from tellerline.banking.postgres import Database, Row, Statements


class PostgresAttempts:
    """books.Attempts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, subjects: tuple[str, ...], limit: int) -> int | None:
        """See books.Attempts."""

        async def work(statements: Statements) -> int | None:
            await statements.do("seed_attempts", subjects=list(subjects))
            rows = await statements.rows("lock_attempts", subjects=list(subjects))
            most = max(row["failures"] for row in rows)
            if most >= limit:
                return None
            for row in rows:
                await statements.do("count_attempt", subject=row["subject"], failures=row["failures"] + 1)
            return int(most) + 1

        return await self._database.within(work)

    async def succeeded(self, subjects: tuple[str, ...], event: books.Event) -> None:
        """See books.Attempts."""

        async def work(statements: Statements) -> None:
            await statements.rows("lock_attempts", subjects=list(subjects))
            await statements.do("clear_attempts", subject=subjects[0])
            await statements.do("give_back_attempts", subjects=list(subjects[1:]))
            await statements.audit(event)

        await self._database.within(work)

    async def failed(self, subjects: tuple[str, ...], limit: int | None, event: books.Event) -> None:
        """See books.Attempts."""

        async def work(statements: Statements) -> None:
            if limit is not None:
                await statements.do("raise_attempts", subject=subjects[0], failures=limit)
            await statements.audit(event)

        await self._database.within(work)

    async def withdrawn(self, subjects: tuple[str, ...]) -> None:
        """See books.Attempts."""

        async def work(statements: Statements) -> None:
            await statements.rows("lock_attempts", subjects=list(subjects))
            await statements.do("give_back_attempts", subjects=list(subjects))

        await self._database.within(work)

    async def released(self, subject: str, event: books.Event) -> int:
        """See books.Attempts."""

        async def work(statements: Statements) -> int:
            rows = await statements.rows("lock_attempts", subjects=[subject])
            failures = sum(int(row["failures"]) for row in rows)
            if failures:
                await statements.do("clear_attempts", subject=subject)
                await statements.audit(event)
            return failures

        return await self._database.within(work)

    async def failures(self, subjects: tuple[str, ...]) -> int:
        """See books.Attempts."""

        async def work(statements: Statements) -> int:
            row = await statements.row("most_failures", subjects=list(subjects))
            assert row is not None
            return int(row["failures"])

        return await self._database.within(work)


class PostgresOrders:
    """books.Orders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spent(self, call_id: str, customer: str) -> books.Spent:
        """See books.Orders."""
        return await self._database.within(lambda statements: _spent(statements, call_id, customer))

    async def keep(self, quote: books.QuoteRow, valid_seconds: int, event: books.Event) -> None:
        """See books.Orders."""

        async def work(statements: Statements) -> None:
            await statements.do(
                "keep_quote",
                quote_id=quote.quote_id,
                call_id=quote.call_id,
                customer=quote.customer,
                bank_quote_id=quote.bank_quote_id,
                kind=quote.kind,
                from_account_id=quote.from_account_id,
                to_id=quote.to_id,
                amount_minor=quote.amount.minor_units,
                fee_minor=quote.fee.minor_units,
                currency=quote.amount.currency,
                valid_seconds=valid_seconds,
                bank_valid_until=quote.bank_valid_until,
            )
            await statements.audit(event)

        await self._database.within(work)

    async def begin(
        self, quote_id: UUID, decide: Callable[[books.Ledger | None], books.OrderRow | books.Intent]
    ) -> tuple[books.Ledger, books.OrderRow | None]:
        """See books.Orders."""

        async def work(statements: Statements) -> tuple[books.Ledger, books.OrderRow | None]:
            ledger = await _ledger(statements, quote_id)
            decided = decide(ledger)
            assert ledger is not None
            if isinstance(decided, books.OrderRow):
                return ledger, decided
            await statements.do(
                "begin_execution",
                quote_id=quote_id,
                idempotency_key=decided.idempotency_key,
                confirmed_by=decided.confirmed_by,
                sealed_customer=decided.sealed_customer,
                ask_seconds=decided.ask_seconds,
            )
            await statements.audit(decided.event)
            return ledger, None

        return await self._database.within(work)

    async def settle(self, quote_id: UUID, row: books.OrderRow, event: books.Event) -> books.OrderRow:
        """See books.Orders."""

        async def work(statements: Statements) -> books.OrderRow:
            if row.state is books.OrderState.IN_DOUBT:
                changed = await statements.do("doubt_execution", quote_id=quote_id)
            else:
                changed = await statements.do(
                    "settle_execution",
                    quote_id=quote_id,
                    state=row.state.value,
                    reference=row.reference,
                    refusal=row.refusal.value if row.refusal else "",
                )
            if changed:
                await statements.audit(event)
                return row
            stands = await statements.row("execution", quote_id=quote_id)
            return _order_row(stands) if stands else row

        return await self._database.within(work)

    async def doubts(self, count: int, again_seconds: float, margin_seconds: float) -> list[books.Doubt]:
        """See books.Orders."""

        async def work(statements: Statements) -> list[books.Doubt]:
            rows = await statements.rows(
                "claim_doubts", count=count, again_seconds=again_seconds, margin_seconds=margin_seconds
            )
            return [
                books.Doubt(
                    _quote_row(row), row["idempotency_key"], bytes(row["sealed_customer"]), row["lapsed"]
                )
                for row in rows
            ]

        return await self._database.within(work)

    async def unsettled(self) -> int:
        """See books.Orders."""

        async def work(statements: Statements) -> int:
            row = await statements.row("unsettled")
            assert row is not None
            return int(row["count"])

        return await self._database.within(work)


async def _ledger(statements: Statements, quote_id: UUID) -> books.Ledger | None:
    found = await statements.row("quote", quote_id=quote_id)
    if found is None:
        return None
    # A quote never changes, so it could be read before the lock that is named after its customer. What is
    # read from here on includes whatever the lock's last holder has committed (READ COMMITTED).
    quote = _quote_row(found)
    await statements.rows("lock_customer", customer=quote.customer)
    order = await statements.row("execution", quote_id=quote_id)
    spent = await _spent(statements, quote.call_id, quote.customer)
    return books.Ledger(quote, found["expired"], _order_row(order) if order else None, spent)


async def _spent(statements: Statements, call_id: str, customer: str) -> books.Spent:
    row = await statements.row("spent", call_id=call_id, customer=customer)
    assert row is not None
    return books.Spent(row["call"], row["day"])


def _quote_row(row: Row) -> books.QuoteRow:
    return books.QuoteRow(
        quote_id=row["quote_id"],
        call_id=row["call_id"],
        customer=row["customer"],
        bank_quote_id=row["bank_quote_id"],
        kind=row["kind"],
        from_account_id=row["from_account_id"],
        to_id=row["to_id"],
        amount=Money(row["amount_minor"], row["currency"]),
        fee=Money(row["fee_minor"], row["currency"]),
        bank_valid_until=row["bank_valid_until"],
    )


def _order_row(row: Row) -> books.OrderRow:
    refusal = Refusal(row["refusal"]) if row["refusal"] else None
    return books.OrderRow(books.OrderState(row["state"]), row["reference"], refusal)
