"""`tellerline banking`: the daemon that stands between conversations and the bank."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from tellerline import audit, audit_heads, bootstrap
from tellerline.banking.authentication import Authentication
from tellerline.banking.enquiries import Desk, Enquiries
from tellerline.banking.journal import PostgresJournal
from tellerline.banking.orders import Doubts, Orders
from tellerline.banking.postgres import Database
from tellerline.banking.redis import PATIENCE_SECONDS, InstanceState, RedisIdentities, RedisStates
from tellerline.banking.rest import RestBank
from tellerline.banking.sealing import read_sealing
from tellerline.banking.servicers import BankingServicer, SecretInputServicer, Teller
from tellerline.banking.tables import PostgresAttempts, PostgresOrders
from tellerline.database import postgres, redis
from tellerline.errors import IdentitiesAway
from tellerline.monitoring import notify, watchdog
from tellerline.rpc import banking_pb2_grpc
from tellerline.settings import BankingSettings

log = logging.getLogger(__name__)

# What a running order may take at SIGTERM: the bank's time-out and the writing.
_STOP_SECONDS = 8.0
_TELL_SECONDS = 1.0


async def serve(settings: BankingSettings) -> None:
    """Serves until SIGTERM, then lets running orders end. Raises SettingsError and AuditError."""
    async with running(settings) as teller:
        notify.notify("READY=1")
        log.info("serving on %s, secrets on %s", settings.listen, settings.secrets_listen)
        async with watchdog.fed(lambda: _doors_open(settings), lambda: _told(teller)):
            await bootstrap.until_signal()
        notify.notify("STOPPING=1")


async def _doors_open(settings: BankingSettings) -> None:
    await bootstrap.opens(settings.listen)
    await bootstrap.opens(settings.secrets_listen)


def _told(teller: Teller) -> str:
    closed = ", closed for money: no database" if teller.database.away else ""
    return f"ready, bank's breaker {teller.bank.breaker.value}{closed}"


@contextlib.asynccontextmanager
async def running(settings: BankingSettings) -> AsyncIterator[Teller]:
    """The service, listening, while the context is open."""
    sealing = read_sealing(settings.audit_key)
    key = audit.read_key(settings.audit_key)
    chain = audit.Chain(key, service="banking")
    database = Database(settings.database, chain)
    async with contextlib.AsyncExitStack() as stack:
        client = redis.client(settings.redis, PATIENCE_SECONDS)
        stack.push_async_callback(client.aclose)
        bank = await stack.enter_async_context(RestBank(settings.bank))
        stack.push_async_callback(database.close)
        await database.open()
        await stack.enter_async_context(_keeping_heads(settings, key))
        journal = PostgresJournal(database)
        await stack.enter_async_context(journal.running())
        identities = RedisIdentities(client, sealing, settings.idle_seconds)
        desk = Desk(bank, identities, journal, sealing)
        orders = PostgresOrders(database)
        teller = Teller(
            bank=bank,
            authentication=Authentication(
                bank,
                identities,
                PostgresAttempts(database),
                journal,
                sealing,
                limit=settings.attempts,
            ),
            enquiries=Enquiries(desk),
            orders=Orders(desk, orders, sealing, settings.limits, quote_seconds=settings.quote_seconds),
            database=database,
            states=RedisStates(client),
        )
        await stack.enter_async_context(
            _alongside(_telling(f"{socket.gethostname()} {settings.listen}", teller))
        )
        await stack.enter_async_context(_alongside(Doubts(bank, orders, sealing).run()))
        stack.push_async_callback(teller.orders.finish)
        await stack.enter_async_context(_listening(settings, teller))
        yield teller


@contextlib.asynccontextmanager
async def _keeping_heads(settings: BankingSettings, key: audit.AuditKey) -> AsyncIterator[None]:
    """Keeps signed heads of the audit chain, over a connection of its own: no caller waits for them."""
    async with postgres.pool(settings.database.model_copy(update={"pool_max": 1})) as pool:
        heads = audit_heads.Heads(settings.audit_heads, key, "banking")
        async with audit_heads.keeping(heads, pool):
            yield


@contextlib.asynccontextmanager
async def _alongside(doing: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs `doing`, which does not end by itself, for as long as the context is open."""
    task = asyncio.create_task(doing)
    try:
        yield
    finally:
        await bootstrap.end([task])


async def _telling(instance: str, teller: Teller) -> None:
    while True:
        with contextlib.suppress(IdentitiesAway):
            breaker, closed = teller.bank.breaker.value, teller.database.away
            await teller.states.tell(InstanceState(instance, breaker, closed))
        await asyncio.sleep(_TELL_SECONDS)


@contextlib.asynccontextmanager
async def _listening(settings: BankingSettings, teller: Teller) -> AsyncIterator[None]:
    """Both servers. Secrets have a server of their own: a pipeline must not be able to guess PINs."""
    banking, banking_health = bootstrap.listen(settings.listen, settings.tls)
    banking_pb2_grpc.add_BankingServicer_to_server(BankingServicer(teller), banking)
    secrets, secrets_health = bootstrap.listen(settings.secrets_listen, settings.secrets_tls)
    banking_pb2_grpc.add_SecretInputServicer_to_server(SecretInputServicer(teller.authentication), secrets)
    servers: list[grpc.aio.Server] = [banking, secrets]
    for server in servers:
        await server.start()
    for health in (banking_health, secrets_health):
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
    try:
        yield
    finally:
        await asyncio.gather(*(server.stop(_STOP_SECONDS) for server in servers))
