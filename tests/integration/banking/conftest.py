"""A running banking service over a real bank, PostgreSQL and Valkey, and a caller who types and asks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tellerline import bootstrap, embedded
from tellerline.banking import server
from tellerline.banking.servicers import Teller
from tellerline.database import postgres
from tellerline.rpc import banking_pb2 as pb
from tellerline.rpc import banking_pb2_grpc
from tellerline.sandbox_bank import app, seed
from tellerline.sandbox_bank import server as sandbox
from tellerline.settings import BankingSettings, BankSettings

EMMA, EMMA_PIN = b"10012345", b"4711"
SAVINGS, CURRENT = "acc-emma-savings", "acc-emma-current"
SECONDS = 15.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name leaves room for sockets'."""
    with tempfile.TemporaryDirectory(prefix="tl-banking-") as name:
        yield Path(name)


@pytest.fixture
async def bank() -> AsyncIterator[tuple[app.SandboxBank, str]]:
    """A sandbox bank and its base_url."""
    async with sandbox.running(app.SandboxBank(seed.load())) as running:
        yield running


@pytest.fixture
def chosen(folder: Path, fresh: embedded.Fresh, bank: tuple[app.SandboxBank, str]) -> BankingSettings:
    """Settings of a service with nothing but its own."""
    key = folder / "audit.key"
    key.write_bytes(base64.b64encode(os.urandom(32)))
    return BankingSettings(
        listen=f"unix:{folder}/banking.sock",
        secrets_listen=f"unix:{folder}/secrets.sock",
        database=fresh.database("banking"),
        redis=fresh.redis("banking"),
        bank=BankSettings(base_url=bank[1], timeout_seconds=0.5),
        audit_key=key,
        audit_heads=folder / "heads",
    )


class Client:
    """Both services of one instance, as connector and pipeline see them."""

    def __init__(self, chosen: BankingSettings) -> None:
        self._channels = [
            bootstrap.channel(Path(address.removeprefix("unix:")))
            for address in (chosen.listen, chosen.secrets_listen)
        ]
        self.banking: Any = banking_pb2_grpc.BankingStub(self._channels[0])
        self.secrets: Any = banking_pb2_grpc.SecretInputStub(self._channels[1])

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def type(self, call_id: str, purpose: str, digits: bytes, caller: str = "447700900123") -> str:
        request = pb.SecretRequest(call_id=call_id, purpose=purpose, digits=digits, caller=caller)
        reply = await self.secrets.Submit(request, timeout=SECONDS)
        return pb.SecretReply.Outcome.Name(reply.outcome)

    async def log_in(self, call_id: str, number: bytes = EMMA, pin: bytes = EMMA_PIN) -> None:
        assert await self.type(call_id, "customer_number", number) == "ACCEPTED"
        assert await self.type(call_id, "pin", pin) == "ACCEPTED"

    async def look(self, call_id: str) -> pb.AuthenticationReply:
        return await self.banking.Authentication(pb.CallRequest(call_id=call_id), timeout=SECONDS)

    async def ask(self, operation: str, call_id: str, **more: Any) -> Any:
        call = pb.CallRequest(call_id=call_id, speculative=more.pop("speculative", False))
        if operation in ("Accounts", "Cards", "Bills", "Payees", "Forget"):
            return await getattr(self.banking, operation)(call, timeout=SECONDS)
        kind = {"CardDelivery": pb.CardRequest, "BlockCard": pb.CardRequest}.get(operation)
        kind = kind or getattr(pb, f"{operation}Request")
        return await getattr(self.banking, operation)(kind(call=call, **more), timeout=SECONDS)

    async def quote(self, call_id: str, minor_units: int, **to: str) -> pb.QuoteReply:
        amount = pb.Money(minor_units=minor_units, currency="GBP")
        order = pb.TransferOrder(
            from_account_id=CURRENT, amount=amount, **(to or {"payee_id": "payee-emma-maria"})
        )
        return await self.ask("Quote", call_id, transfer=order)

    async def execute(self, call_id: str, quote: pb.QuoteReply, **changed: Any) -> pb.ExecuteReply:
        fields = {"quote_id": quote.quote_id, "token": quote.token, "confirmed_by": "keypad"} | changed
        return await self.ask("Execute", call_id, **fields)


@dataclass
class Service:
    """A running service: its insides, its client, its settings."""

    teller: Teller
    client: Client
    chosen: BankingSettings


@contextlib.asynccontextmanager
async def serving(chosen: BankingSettings) -> AsyncIterator[Service]:
    """The service in this process."""
    async with server.running(chosen) as teller:
        client = Client(chosen)
        try:
            yield Service(teller, client, chosen)
        finally:
            await client.close()


@pytest.fixture
async def service(chosen: BankingSettings) -> AsyncIterator[Service]:
    """One instance."""
    async with serving(chosen) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Client:
    """Its client."""
    return service.client


async def until(condition: Callable[[], bool]) -> None:
    """Waits until `condition` holds; fails after a while."""
    async with asyncio.timeout(SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


def rows(fresh: embedded.Fresh, statement: str, *values: Any) -> list[dict[str, Any]]:
    """What the administrator sees in the database."""
    with psycopg.connect(**postgres.parameters(fresh.superuser()), row_factory=dict_row) as connection:
        return connection.execute(statement, values).fetchall()
