"""The sandbox bank over HTTP: docs/bank-api.yaml below /tellerline/v1, and its switches below /sandbox."""

from __future__ import annotations

import asyncio
import hmac
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

import fastapi
import pydantic
from fastapi import Header, Query
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from tellerline.sandbox_bank import branches, holder, ledger
from tellerline.sandbox_bank.behaviour import Behaviour, Fault
from tellerline.sandbox_bank.seed import Seed

BASE_PATH = "/tellerline/v1"
_JOURNAL = 10_000

Deed = Callable[[], dict[str, Any]]
_Id = Annotated[str, fastapi.Path(pattern=r"^[A-Za-z0-9._~-]{1,64}$")]
_Key = Annotated[str, Header(alias="Idempotency-Key", pattern=r"^[A-Za-z0-9_-]{16,64}$")]


class _Body(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="ignore")


class _Money(_Body):
    minor_units: int
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class _Find(_Body):
    customer_number: str = Field(pattern=r"^[0-9]{1,20}$")


class _Pin(_Find):
    pin: str = Field(pattern=r"^[0-9]{1,12}$")


class _Transfer(_Body):
    kind: Literal["transfer"]
    from_account_id: str
    payee_id: str | None = None
    to_account_id: str | None = None
    amount: _Money

    @pydantic.model_validator(mode="after")
    def _one_target(self) -> _Transfer:
        if (self.payee_id is None) == (self.to_account_id is None):
            raise ValueError("give payee_id or to_account_id")
        return self


class _Bill(_Body):
    kind: Literal["bill"]
    from_account_id: str
    bill_id: str


class _Order(pydantic.RootModel[Annotated[_Transfer | _Bill, Field(discriminator="kind")]]):
    pass


class _Execution(_Body):
    quote_id: str


class _Switches(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    faults: tuple[Fault, ...] = ()
    latency_ms: Annotated[int, Field(ge=0)] | None = None


class SandboxBank:
    """The books, the behaviour and the journal behind one application."""

    def __init__(
        self,
        seeds: Seed,
        *,
        latency_ms: int = 0,
        token: str | None = None,
        clock: holder.Clock = holder.utc_now,
    ) -> None:
        self.seeds = seeds
        self.books = ledger.Ledger(seeds, clock)
        self.behaviour = Behaviour(latency_ms)
        # The newest requests: operation, customer and key, never a body. What tests count.
        self.journal: deque[dict[str, str]] = deque(maxlen=_JOURNAL)
        self._token = token

    def authorised(self, request: fastapi.Request) -> None:
        """Refuses a request without the token, where there is one."""
        given = request.headers.get("authorization", "")
        if self._token is not None and not hmac.compare_digest(
            given.encode(), f"Bearer {self._token}".encode()
        ):
            raise HTTPException(401, "unauthorised")

    async def do(self, operation: str, deed: Deed, *, customer_id: str = "", key: str = "") -> Response:
        """Does `deed`, and answers as the faults switched on for `operation` have it."""
        self.journal.append({"operation": operation, "customer_id": customer_id, "key": key})
        fault = self.behaviour.of(operation)
        delay_ms = self.behaviour.latency_ms
        if fault is not None and fault.mode == "slow":
            delay_ms += fault.delay_ms
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        if fault is None or fault.mode in ("slow", "pending"):
            return JSONResponse(deed())
        answer = JSONResponse(deed()) if fault.deed == "done" else JSONResponse({})
        misbehaved = await self._misbehave(fault, answer)
        if fault.deed == "late":
            deed()
        return misbehaved

    def takes_as_pending(self) -> bool:
        """Whether the order that arrives now is left for later."""
        return any(
            f.mode == "pending" and (not f.operations or "execute" in f.operations)
            for f in self.behaviour.faults
        )

    async def _misbehave(self, fault: Fault, answer: Response) -> Response:
        match fault.mode:
            case "failing":
                return _problem(fault.status, "failing")
            case "refusing":
                return _problem(429, "too_many", {"Retry-After": "30"})
            case "garbled":
                return Response(b'{"state": "exec', media_type="application/json")
            case "dripping":
                return StreamingResponse(_drip(bytes(answer.body), fault.delay_ms))
            case "hanging":
                await self.behaviour.hang()
        # Less than was promised: the server closes the connection, and the client sees it broken.
        return _cut_off()


def build(bank: SandboxBank) -> fastapi.FastAPI:
    """The application; opens nothing until a server runs it."""
    app = fastapi.FastAPI(title="Sandbox bank", docs_url=None, redoc_url=None)
    app.include_router(_contract(bank), prefix=BASE_PATH, dependencies=[fastapi.Depends(bank.authorised)])
    app.include_router(_switches(bank), prefix="/sandbox")
    app.add_exception_handler(holder.Refused, _refused)
    app.add_exception_handler(RequestValidationError, lambda _request, _error: _problem(400, "malformed"))
    app.add_exception_handler(HTTPException, _http_problem)
    return app


def _contract(bank: SandboxBank) -> fastapi.APIRouter:
    route = fastapi.APIRouter()
    books = bank.books

    @route.post("/authentications", operation_id="checkPin")
    async def check_pin(body: _Pin) -> Response:
        return await bank.do("checkPin", lambda: books.check_pin(body.customer_number, body.pin))

    @route.post("/customers/find", operation_id="findCustomer")
    async def find_customer(body: _Find) -> Response:
        return await bank.do("findCustomer", lambda: books.find(body.customer_number))

    @route.get("/customers/{customer_id}/accounts", operation_id="accounts")
    async def accounts(customer_id: _Id) -> Response:
        return await bank.do("accounts", lambda: books.accounts(customer_id), customer_id=customer_id)

    @route.get("/customers/{customer_id}/accounts/{account_id}/transactions", operation_id="transactions")
    async def transactions(
        customer_id: _Id, account_id: _Id, count: Annotated[int, Query(ge=1, le=50)] = 5
    ) -> Response:
        deed = lambda: books.transactions(customer_id, account_id, count)  # noqa: E731
        return await bank.do("transactions", deed, customer_id=customer_id)

    @route.get("/customers/{customer_id}/cards", operation_id="cards")
    async def cards(customer_id: _Id) -> Response:
        return await bank.do("cards", lambda: books.cards(customer_id), customer_id=customer_id)

    @route.get("/customers/{customer_id}/cards/{card_id}/delivery", operation_id="cardDelivery")
    async def card_delivery(customer_id: _Id, card_id: _Id) -> Response:
        deed = lambda: books.card_delivery(customer_id, card_id)  # noqa: E731
        return await bank.do("cardDelivery", deed, customer_id=customer_id)

    @route.post("/customers/{customer_id}/cards/{card_id}/block", operation_id="blockCard")
    async def block_card(customer_id: _Id, card_id: _Id, idempotency_key: _Key) -> Response:
        deed = lambda: books.block_card(customer_id, card_id)  # noqa: E731
        return await bank.do("blockCard", deed, customer_id=customer_id, key=idempotency_key)

    @route.get("/customers/{customer_id}/bills", operation_id="bills")
    async def bills(customer_id: _Id) -> Response:
        return await bank.do("bills", lambda: books.bills(customer_id), customer_id=customer_id)

    @route.get("/customers/{customer_id}/payees", operation_id="payees")
    async def payees(customer_id: _Id) -> Response:
        return await bank.do("payees", lambda: books.payees(customer_id), customer_id=customer_id)

    @route.post("/customers/{customer_id}/quotes", operation_id="quote")
    async def quote(customer_id: _Id, order: _Order) -> Response:
        deed = lambda: books.orders.quote(books.holder(customer_id), order.model_dump())  # noqa: E731
        return await bank.do("quote", deed, customer_id=customer_id)

    @route.post("/customers/{customer_id}/executions", operation_id="execute")
    async def execute(customer_id: _Id, body: _Execution, idempotency_key: _Key) -> Response:
        pending = bank.takes_as_pending()

        def deed() -> dict[str, Any]:
            whose = books.holder(customer_id)
            return books.orders.execute(whose, body.quote_id, idempotency_key, pending=pending)

        return await bank.do("execute", deed, customer_id=customer_id, key=idempotency_key)

    @route.get("/customers/{customer_id}/executions/{idempotency_key}", operation_id="execution")
    async def execution(customer_id: _Id, idempotency_key: _Id) -> Response:
        deed = lambda: books.orders.execution(books.holder(customer_id), idempotency_key)  # noqa: E731
        return await bank.do("execution", deed, customer_id=customer_id, key=idempotency_key)

    @route.get("/branches", operation_id="branches")
    async def branches_near(
        place: Annotated[str, Query(max_length=100)] = "", language: str = ""
    ) -> Response:
        return await bank.do("branches", lambda: branches.find(bank.seeds.branches, place, language))

    return route


def _switches(bank: SandboxBank) -> fastapi.APIRouter:
    route = fastapi.APIRouter()

    @route.get("/behaviour")
    async def shown() -> dict[str, Any]:
        faults = [fault.model_dump(mode="json") for fault in bank.behaviour.faults]
        return {"faults": faults, "latency_ms": bank.behaviour.latency_ms}

    @route.put("/behaviour")
    async def switched(switches: _Switches) -> dict[str, Any]:
        bank.behaviour.switch(switches.faults)
        if switches.latency_ms is not None:
            bank.behaviour.latency_ms = switches.latency_ms
        return await shown()

    @route.get("/executions")
    async def executions() -> dict[str, Any]:
        return {"executions": bank.books.moved()}

    @route.get("/requests")
    async def requests() -> dict[str, Any]:
        return {"requests": list(bank.journal)}

    @route.post("/reset")
    async def reset() -> dict[str, Any]:
        bank.books.reset()
        bank.journal.clear()
        bank.behaviour.switch(())
        return await shown()

    return route


async def _refused(_request: fastapi.Request, error: Exception) -> Response:
    assert isinstance(error, holder.Refused)
    return _problem(404 if error.code == "not_found" else 422, error.code)


async def _http_problem(_request: fastapi.Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # "no_route" and not "not_found": a wrong address must not read as an order that was never seen.
    return _problem(error.status_code, "no_route" if error.status_code == 404 else str(error.detail))


def _problem(status: int, code: str, headers: dict[str, str] | None = None) -> Response:
    body = {"type": "about:blank", "status": status, "code": code}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _cut_off() -> Response:
    async def half() -> AsyncIterator[bytes]:
        yield b'{"state'

    return StreamingResponse(half(), headers={"Content-Length": "4096", "Content-Type": "application/json"})


async def _drip(body: bytes, delay_ms: int) -> AsyncIterator[bytes]:
    for place in range(len(body)):
        yield body[place : place + 1]
        await asyncio.sleep(delay_ms / 1000)
