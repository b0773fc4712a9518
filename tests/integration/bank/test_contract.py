"""The adapter and the sandbox bank keep to docs/bank-api.yaml: every request and every answer of theirs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import Request, Response
from starlette.responses import Response as Answer

from tellerline.banking import model
from tellerline.banking.rest import RestBank
from tellerline.errors import BankRefusal
from tellerline.sandbox_bank import app, seed, server
from tellerline.settings import BankSettings

from .contract import Contract

KEY = "0123456789abcdef"


@dataclass
class Exchanges:
    """Every request and answer, and what was wrong with them."""

    contract: Contract
    seen: set[tuple[str, int]] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    async def watch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Middleware of the sandbox bank."""
        sent = await request.body()
        answer = await call_next(request)
        body = b"".join([piece async for piece in answer.body_iterator])  # type: ignore[attr-defined]
        self._check(request, sent, answer, body)
        return Answer(body, answer.status_code, dict(answer.headers))

    def _check(self, request: Request, sent: bytes, answer: Response, body: bytes) -> None:
        operation = self.contract.find(request.method, request.url.path.removeprefix(app.BASE_PATH))
        self.seen.add((operation.operation_id, answer.status_code))
        asked: Any = json.loads(sent) if sent else None
        media_type = answer.headers["content-type"]
        wrong = self.contract.request_faults(
            operation, dict(request.headers), dict(request.query_params), asked
        ) + self.contract.answer_faults(operation, answer.status_code, media_type, json.loads(body))
        self.faults += [f"{operation.operation_id} {fault}" for fault in wrong]


@pytest.fixture
async def exchanges() -> Exchanges:
    return Exchanges(Contract())


@pytest.fixture
async def watched(exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestBank]:
    build = app.build

    def watched_build(bank: app.SandboxBank) -> Any:
        application = build(bank)
        application.middleware("http")(exchanges.watch)
        return application

    monkeypatch.setattr(app, "build", watched_build)
    async with server.running() as (_, base_url), RestBank(BankSettings(base_url=base_url)) as adapter:
        yield adapter


async def everything(bank: RestBank, customer: seed.Customer) -> None:
    """Asks everything there is to ask about one customer, and moves some money."""
    found = await bank.find_customer(customer.customer_number)
    assert found is not None
    who = found.customer_id
    await bank.check_pin(customer.customer_number, customer.pin.encode())
    await bank.check_pin(customer.customer_number, b"0000")
    accounts = await bank.accounts(who)
    for account in accounts:
        await bank.transactions(who, account.account_id, 50)
    cards = await bank.cards(who)
    for card in cards:
        try:
            await bank.card_delivery(who, card.card_id)
        except BankRefusal as refusal:
            assert refusal.reason == "not_found"
    for card in cards:
        assert (await bank.block_card(who, card.card_id, KEY)).blocked
    orders: list[model.Order] = [
        model.BillOrder(accounts[0].account_id, bill.bill_id) for bill in await bank.bills(who)
    ]
    small = model.Money(100, customer.currency)
    orders += [
        model.TransferOrder(accounts[0].account_id, small, payee_id=payee.payee_id)
        for payee in await bank.payees(who)
    ]
    orders += [
        model.TransferOrder(accounts[0].account_id, small, to_account_id=account.account_id)
        for account in accounts[1:]
    ]
    for place, order in enumerate(orders):
        await order_money(bank, who, order, f"{KEY}-{place}")


async def order_money(bank: RestBank, who: str, order: model.Order, key: str) -> None:
    try:
        quote = await bank.quote(who, order)
    except BankRefusal as refusal:
        assert refusal.reason == "insufficient_funds"
        return
    await bank.execute(who, quote.quote_id, key)
    await bank.execution(who, key)


async def test_every_exchange_follows_the_contract(watched: RestBank, exchanges: Exchanges) -> None:
    for customer in seed.load().customers:
        await everything(watched, customer)
    assert await watched.find_customer("99999999") is None
    assert await watched.execution("cus-emma-clark", KEY * 2) is None
    for place, language in (("", ""), ("", "tr"), ("İstanbul", "tr"), ("nowhere", "en")):
        await watched.branches(place, language)
    with pytest.raises(BankRefusal):
        await watched.accounts("cus-nobody")
    assert exchanges.faults == []
    # Everything the contract has was asked, refusals included: what was not seen was not checked.
    assert {operation for operation, _ in exchanges.seen} == set(exchanges.contract.operations)
    assert {("quote", 422), ("cardDelivery", 404), ("execution", 404)} <= exchanges.seen


def test_the_sandbox_bank_has_the_contracts_routes_and_no_others() -> None:
    application = app.build(app.SandboxBank(seed.load()))
    contract = Contract()
    served = {
        (details["operationId"], method.upper(), path.removeprefix(app.BASE_PATH))
        for path, item in application.openapi()["paths"].items()
        if path.startswith(app.BASE_PATH)
        for method, details in item.items()
    }
    assert served == {(o.operation_id, o.method, o.path) for o in contract.operations.values()}


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, {"accounts": [{}]}, "body.accounts[0].kind: missing"),
        (200, {"accounts": [], "iban": "x"}, "body.iban: not in the contract"),
        (404, {"code": 7}, "body.code: type is not string"),
    ],
)
def test_the_check_can_fail(status: int, body: object, fault: str) -> None:
    contract = Contract()
    media_type = "application/json" if status == 200 else "application/problem+json"
    assert fault in contract.answer_faults(contract.operations["accounts"], status, media_type, body)
