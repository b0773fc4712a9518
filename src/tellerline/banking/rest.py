"""The bank over HTTP, as docs/bank-api.yaml describes it."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import tenacity

from tellerline.banking import model, wire
from tellerline.banking.breaker import Breaker
from tellerline.banking.ports import BreakerState
from tellerline.errors import BankInDoubt, BankRefusal, BankUnavailable, SettingsError
from tellerline.monitoring import metrics
from tellerline.settings import BankSettings

log = logging.getLogger(__name__)

_ATTEMPTS = 3
# Full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015): two instances do not retry in step.
_WAIT = tenacity.wait_random_exponential(multiplier=0.1, max=0.5)
_ANSWER_BYTES_MAX = 1024 * 1024
_ID = re.compile(r"(?!\.\.?$)[A-Za-z0-9._~-]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,20}")
_PIN = re.compile(rb"[0-9]{1,12}")
_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")
# A share of the whole timeout: a host that swallows packets leaves time to say that nothing was sent.
_CONNECT_SHARE = 0.4

_Answer = TypeVar("_Answer")


class _Failure(Exception):
    """One attempt gave no usable answer: a failure in the breaker's count."""

    def __init__(self, outcome: str, text: str, *, sent: bool = True, again: bool = True) -> None:
        super().__init__(text)
        self.outcome = outcome
        self.sent = sent
        self.again = again


@dataclass(frozen=True)
class _No:
    """The bank understood and says no (`reason`), or does not want this client ("")."""

    reason: str
    status: int


@dataclass(frozen=True)
class _Request:
    """One request of the contract."""

    operation: str
    method: str
    path: str
    json: Mapping[str, Any] | None = None
    params: Mapping[str, str] | None = None
    key: str = ""
    # Sent at most once: an attempt is repeated only where nothing was sent.
    once: bool = False


class _Journey:
    """How far a request came, by httpcore's trace events. In doubt, it was sent."""

    def __init__(self) -> None:
        self._events: list[str] = []

    async def note(self, event: str, _details: object) -> None:
        self._events.append(event)

    @property
    def sent(self) -> bool:
        return not self._events or any(not event.startswith("connection.") for event in self._events)


class RestBank:
    """The port `Bank` over HTTP. An asynchronous context manager; usable inside it only."""

    def __init__(self, settings: BankSettings) -> None:
        self._settings = settings
        self._breaker = Breaker(settings.breaker_failures, settings.breaker_half_open_seconds)
        self._client: httpx.AsyncClient | None = None
        # A kept-alive connection that the bank closes under a request leaves the request in doubt. What is
        # sent once gets a connection of its own, where failing to connect means that nothing was sent.
        self._client_once: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        # httpx logs each URL at INFO and httpcore each header at DEBUG: ids and the token.
        for library in ("httpx", "httpcore"):
            logging.getLogger(library).setLevel(logging.WARNING)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        headers |= _authorization(self._settings)
        verify = _trust(self._settings)
        self._client = self._new_client(headers, verify, keep_alive=16)
        self._client_once = self._new_client(headers, verify, keep_alive=0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in (self._client, self._client_once):
            if client is not None:
                await client.aclose()

    @property
    def breaker(self) -> BreakerState:
        """Whether the bank is asked at all."""
        return self._breaker.state

    # ---- who

    async def find_customer(self, customer_number: str) -> model.Customer | None:
        """Who has this customer number; None: nobody."""
        if not _NUMBER.fullmatch(customer_number):
            return None
        request = _Request(
            "findCustomer", "POST", "/customers/find", json={"customer_number": customer_number}
        )
        try:
            return await self._ask(request, model.Customer)
        except BankRefusal as refusal:
            _only_not_found(refusal)
            return None

    async def check_pin(self, customer_number: str, pin: bytes) -> model.PinCheck:
        """Has the bank compare a PIN (ASCII digits)."""
        if not _NUMBER.fullmatch(customer_number) or not _PIN.fullmatch(pin):
            return model.PinCheck(model.PinOutcome.REFUSED)
        typed = {"customer_number": customer_number, "pin": pin.decode("ascii")}
        request = _Request("checkPin", "POST", "/authentications", json=typed, once=True)
        return await self._ask(request, model.PinCheck)

    # ---- what they have

    async def accounts(self, customer_id: str) -> tuple[model.Account, ...]:
        """The customer's accounts."""
        request = _Request("accounts", "GET", _path("customers", customer_id, "accounts"))
        return (await self._ask(request, wire.Accounts)).accounts

    async def transactions(
        self, customer_id: str, account_id: str, count: int = 5
    ) -> tuple[model.Transaction, ...]:
        """The newest `count` (1 to 50) transactions of an account, newest first."""
        count = min(max(count, 1), 50)
        path = _path("customers", customer_id, "accounts", account_id, "transactions")
        request = _Request("transactions", "GET", path, params={"count": str(count)})
        return (await self._ask(request, wire.Transactions)).transactions[:count]

    async def cards(self, customer_id: str) -> tuple[model.Card, ...]:
        """The customer's cards."""
        request = _Request("cards", "GET", _path("customers", customer_id, "cards"))
        return (await self._ask(request, wire.Cards)).cards

    async def card_delivery(self, customer_id: str, card_id: str) -> model.CardDelivery:
        """Where a card is."""
        path = _path("customers", customer_id, "cards", card_id, "delivery")
        return await self._ask(_Request("cardDelivery", "GET", path), model.CardDelivery)

    async def block_card(self, customer_id: str, card_id: str, idempotency_key: str) -> model.BlockedCard:
        """Blocks a card for good."""
        path = _path("customers", customer_id, "cards", card_id, "block")
        request = _Request("blockCard", "POST", path, key=_key(idempotency_key))
        return await self._ask(request, model.BlockedCard)

    async def bills(self, customer_id: str) -> tuple[model.Bill, ...]:
        """Bills that are due."""
        request = _Request("bills", "GET", _path("customers", customer_id, "bills"))
        return (await self._ask(request, wire.Bills)).bills

    async def payees(self, customer_id: str) -> tuple[model.Payee, ...]:
        """Whom the customer may send money to."""
        request = _Request("payees", "GET", _path("customers", customer_id, "payees"))
        return (await self._ask(request, wire.Payees)).payees

    # ---- orders of money

    async def quote(self, customer_id: str, order: model.Order) -> model.Quote:
        """What `order` would do."""
        path = _path("customers", customer_id, "quotes")
        return await self._ask(_Request("quote", "POST", path, json=wire.order(order)), model.Quote)

    async def execute(self, customer_id: str, quote_id: str, idempotency_key: str) -> model.Execution:
        """Does what a quote says, once for a key."""
        path = _path("customers", customer_id, "executions")
        request = _Request(
            "execute", "POST", path, json={"quote_id": quote_id}, key=_key(idempotency_key), once=True
        )
        return await self._ask(request, model.Execution)

    async def execution(self, customer_id: str, idempotency_key: str) -> model.Execution | None:
        """What became of an order, by its key; None: the bank has not seen the key."""
        path = _path("customers", customer_id, "executions", _key(idempotency_key))
        try:
            return await self._ask(_Request("execution", "GET", path), model.Execution)
        except BankRefusal as refusal:
            _only_not_found(refusal)
            return None

    # ---- the bank itself

    async def branches(self, place: str = "", language: str = "") -> tuple[model.Branch, ...]:
        """Branches in or near `place`, nearest first."""
        params = {"place": place[:100]} | ({"language": language} if language else {})
        request = _Request("branches", "GET", "/branches", params=params)
        return (await self._ask(request, wire.Branches)).branches

    # ---- asking

    async def _ask(self, request: _Request, kind: type[_Answer]) -> _Answer:
        # One deadline for all attempts: a caller waits for the sum of them.
        timeout_seconds = self._settings.timeout_seconds
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS) | tenacity.stop_before_delay(timeout_seconds),
            wait=_WAIT,
            retry=tenacity.retry_if_exception(lambda error: _worth_repeating(request, error)),
            reraise=True,
        )
        try:
            answer: _Answer | _No = await retrying(
                self._breaker.run, lambda: self._attempt(request, kind, deadline)
            )
        except _Failure as failure:
            if request.operation == "execute" and failure.sent:
                raise BankInDoubt(f"{failure}; the bank has to be asked by the key") from None
            raise BankUnavailable(str(failure)) from None
        if not isinstance(answer, _No):
            return answer
        if answer.reason:
            raise BankRefusal(model.RefusalReason(answer.reason))
        said = f"{request.operation}: rejected with status {answer.status}; check base_url and the token"
        log.error("the bank: %s", said)
        raise BankInDoubt(said) if request.operation == "execute" else BankUnavailable(said)

    async def _attempt(self, request: _Request, kind: type[_Answer], deadline: float) -> _Answer | _No:
        started = time.monotonic()
        outcome = "withdrawn"
        try:
            answer = await self._exchange(request, kind, deadline)
            outcome = "answered"
            if isinstance(answer, _No):
                outcome = "refused" if answer.reason else "rejected"
            return answer
        except _Failure as failure:
            outcome = failure.outcome
            # Its text alone: a handler that keeps records would keep the traceback and its sockets.
            log.warning("the bank: %s", str(failure))
            raise
        finally:
            metrics.BANKING_BANK_REQUESTS.labels(request.operation, outcome).inc()
            metrics.BANKING_BANK_SECONDS.labels(request.operation).observe(time.monotonic() - started)

    async def _exchange(self, request: _Request, kind: type[_Answer], deadline: float) -> _Answer | _No:
        journey = _Journey()
        try:
            async with asyncio.timeout_at(deadline):
                response, body = await self._send(request, journey)
        except TimeoutError:
            text = f"{request.operation}: no answer within {self._settings.timeout_seconds:g} s"
            raise _Failure("timeout", text, sent=journey.sent, again=False) from None
        except httpx.RequestError as error:
            text = f"{request.operation}: {type(error).__name__}"
            sent = journey.sent and not isinstance(error, httpx.PoolTimeout)
            raise _Failure("unreachable", text, sent=sent) from None
        return _understood(request, kind, response, body)

    async def _send(self, request: _Request, journey: _Journey) -> tuple[httpx.Response, bytes]:
        client = self._client_once if request.once else self._client
        assert client is not None, "RestBank is used outside its context"
        headers = {"Idempotency-Key": request.key} if request.key else {}
        sending = client.stream(
            request.method,
            request.path,
            json=request.json,
            params=request.params,
            headers=headers,
            extensions={"trace": journey.note},
        )
        async with sending as response:
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _ANSWER_BYTES_MAX:
                    raise _Failure("garbled", f"{request.operation}: an answer above 1 MiB", again=False)
        return response, bytes(body)

    def _new_client(
        self, headers: Mapping[str, str], verify: ssl.SSLContext | bool, keep_alive: int
    ) -> httpx.AsyncClient:
        timeout_seconds = self._settings.timeout_seconds
        return httpx.AsyncClient(
            base_url=self._settings.base_url,
            headers=dict(headers),
            verify=verify,
            # No proxy, .netrc or certificate of the environment: a daemon is set up by its settings alone.
            trust_env=False,
            timeout=httpx.Timeout(
                timeout_seconds,
                connect=timeout_seconds * _CONNECT_SHARE,
                pool=timeout_seconds * _CONNECT_SHARE,
            ),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=keep_alive),
        )


def _understood(
    request: _Request, kind: type[_Answer], response: httpx.Response, body: bytes
) -> _Answer | _No:
    status = response.status_code
    if status == 200:
        try:
            return wire.read(kind, body)
        except wire.Garbled as error:
            raise _Failure("garbled", f"{request.operation}: {error}", again=False) from None
    if status >= 500 or status == 429:
        # A bank that says when to come back is not asked again before that; a caller does not wait so long.
        again = "retry-after" not in response.headers
        raise _Failure("failed", f"{request.operation}: status {status}", again=again)
    code = wire.problem(body)
    # A proxy's 404 must not pass for the bank's "this order was never seen".
    if (status == 404 and code == model.RefusalReason.NOT_FOUND) or (status == 422 and code):
        return _No(model.RefusalReason(code), status)
    return _No("", status)


def _worth_repeating(request: _Request, error: BaseException) -> bool:
    return isinstance(error, _Failure) and error.again and not (request.once and error.sent)


def _only_not_found(refusal: BankRefusal) -> None:
    if refusal.reason != model.RefusalReason.NOT_FOUND:
        raise refusal


def _path(*parts: str) -> str:
    """A path of fixed words and the bank's ids. What is no id is nothing the bank has: it is not sent."""
    if not all(_ID.fullmatch(part) for part in parts):
        raise BankRefusal(model.RefusalReason.NOT_FOUND)
    return "/" + "/".join(parts)


def _key(idempotency_key: str) -> str:
    if not _KEY.fullmatch(idempotency_key):
        raise ValueError("an idempotency key is 16 to 64 of A-Z a-z 0-9 _ -")
    return idempotency_key


def _authorization(settings: BankSettings) -> dict[str, str]:
    if settings.token is None:
        return {}
    try:
        token = settings.token.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"bank.token: {settings.token} cannot be read: {error}") from None
    return {"Authorization": f"Bearer {token}"}


def _trust(settings: BankSettings) -> ssl.SSLContext | bool:
    """What the bank's certificate is checked against, and the certificate shown to the bank.

    Blocks for some milliseconds, at the start only.
    """
    if not settings.base_url.startswith("https://"):
        return False
    try:
        context = ssl.create_default_context(cafile=settings.authority)
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except OSError as error:
        raise SettingsError(f"bank.authority, bank.certificate or bank.key: {error}") from None
    return context
