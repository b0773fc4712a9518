"""PostgreSQL or Redis away: what is closed, what goes on, and how it opens again."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import psycopg
import pytest

from tellerline import embedded
from tellerline.database import postgres, redis
from tellerline.rpc import banking_pb2 as pb
from tellerline.sandbox_bank import behaviour
from tellerline.settings import BankingSettings, BankSettings

from .conftest import CURRENT, EMMA, Client, Service, rows, serving, until

REPLY = pb.ExecuteReply


@pytest.fixture(scope="module")
def own_stores(binaries: embedded.Binaries) -> Iterator[embedded.Datastores]:
    """Servers this module may stop."""
    with embedded.temporary(binaries) as stores:
        yield stores


@pytest.fixture
def fresh(own_stores: embedded.Datastores) -> embedded.Fresh:
    """A database and a Redis database of those."""
    return own_stores.fresh()


@pytest.fixture
async def service(folder: Path, fresh: embedded.Fresh, bank: Any) -> AsyncIterator[Service]:
    """A service on them."""
    key = folder / "audit.key"
    key.write_bytes(base64.b64encode(os.urandom(32)))
    chosen = BankingSettings(
        listen=f"unix:{folder}/banking.sock",
        secrets_listen=f"unix:{folder}/secrets.sock",
        database=fresh.database("banking"),
        redis=fresh.redis("banking"),
        bank=BankSettings(base_url=bank[1], timeout_seconds=2.0),
        audit_key=key,
        audit_heads=folder / "heads",
    )
    async with serving(chosen) as running:
        yield running


async def open_again(service: Service) -> None:
    """Waits until money is open."""
    await until(lambda: not service.teller.database.away)


async def check_closed(service: Service, quote: pb.QuoteReply, own_stores: embedded.Datastores) -> None:
    """Money and new authentications are closed; whoever is authenticated keeps balance and information."""
    client = service.client
    assert (await client.quote("call", 500)).refusal == pb.CLOSED
    closed = await client.execute("call", quote)
    assert (closed.state, closed.refusal) == (REPLY.REFUSED, pb.CLOSED)
    assert (await client.banking.Status(pb.BankStatusRequest())).money_closed
    known = await client.look("call")
    assert (known.level, known.closed) == (pb.AuthenticationReply.AUTHENTICATED, True)
    assert (await client.ask("Accounts", "call")).accounts[0].balance.minor_units == 234055
    assert (await client.ask("Transactions", "call", account_id=CURRENT)).transactions
    assert (await client.ask("Branches", "call")).branches
    await client.type("new", "customer_number", EMMA)
    assert await client.type("new", "pin", b"4711") == "UNAVAILABLE"
    # Blocking a card harms nobody and cannot wait.
    assert (await client.ask("BlockCard", "new", card_id="card-emma-debit")).blocked


@pytest.mark.parametrize("how", ["stopped", "hanging"])
async def test_postgres_away_closes_money_and_nothing_else(
    service: Service, bank: Any, fresh: embedded.Fresh, own_stores: embedded.Datastores, how: str
) -> None:
    """Stopped or silent; what was asked meanwhile is audited afterwards."""
    client = service.client
    await client.log_in("call")
    quote = await client.quote("call", 500)
    server = own_stores.postgres_server
    if how == "stopped":
        await asyncio.to_thread(server.stop)
    else:
        _signal_all(server.pid, signal.SIGSTOP)
    try:
        await check_closed(service, quote, own_stores)
    finally:
        if how == "stopped":
            server.start()
            await asyncio.to_thread(own_stores.wait_until_ready)
        else:
            _signal_all(server.pid, signal.SIGCONT)
    await open_again(service)
    assert await client.type("new", "pin", b"4711") == "ACCEPTED"
    reply = await client.execute("call", quote)
    assert reply.state == REPLY.EXECUTED
    assert len(bank[0].books.moved()) == 1
    asked = "SELECT 1 FROM audit.entry WHERE action = 'block_card_asked' AND call_id = 'new'"
    await until(lambda: bool(rows(fresh, asked)))


async def test_a_service_that_starts_without_postgres_opens_when_it_comes(
    service: Service, own_stores: embedded.Datastores
) -> None:
    """The order in which hosts boot does not matter."""
    await asyncio.to_thread(own_stores.postgres_server.stop)
    try:
        chosen: BankingSettings = service.chosen.model_copy(
            update={
                "listen": service.chosen.listen.replace("banking.sock", "late.sock"),
                "secrets_listen": service.chosen.secrets_listen.replace("secrets.sock", "late-s.sock"),
            }
        )
        async with serving(chosen) as late:
            assert (await late.client.look("call")).closed
            own_stores.postgres_server.start()
            await asyncio.to_thread(own_stores.wait_until_ready)
            await open_again(late)
            await late.client.log_in("call")
    finally:
        if own_stores.postgres_server.pid is None:
            own_stores.postgres_server.start()
        await asyncio.to_thread(own_stores.wait_until_ready)


async def test_an_outcome_that_cannot_be_written_is_told_and_written_later(
    service: Service, bank: Any, fresh: embedded.Fresh, own_stores: embedded.Datastores
) -> None:
    """PostgreSQL dies while the bank works: the caller hears what the bank said, the books later."""
    client = service.client
    await client.log_in("call")
    quote = await client.quote("call", 500)
    slow = behaviour.Fault(mode="slow", operations=("execute",), delay_ms=1500)
    bank[0].behaviour.switch((slow,))
    asking = asyncio.create_task(client.execute("call", quote))
    await until(lambda: any(request["operation"] == "execute" for request in bank[0].journal))
    await asyncio.to_thread(own_stores.postgres_server.kill)
    reply = await asking
    assert reply.state == REPLY.EXECUTED and reply.reference
    own_stores.postgres_server.start()
    await asyncio.to_thread(own_stores.wait_until_ready)
    soon = "UPDATE banking.execution SET ask_at = now() WHERE settled_at IS NULL RETURNING 1"
    assert rows(fresh, soon)
    settled = "SELECT reference FROM banking.execution WHERE state = 'executed'"
    await until(lambda: rows(fresh, settled) == [{"reference": reply.reference}])
    assert len(bank[0].books.moved()) == 1


async def test_a_flushed_redis_makes_callers_say_who_they_are_again(
    service: Service, fresh: embedded.Fresh
) -> None:
    """Nothing but the identities is lost."""
    await service.client.log_in("call")
    async with redis.client(fresh.redis("admin")) as admin:
        await admin.flushdb()
    assert (await service.client.look("call")).level == pb.AuthenticationReply.NOBODY
    assert (await service.client.ask("Accounts", "call")).refusal == pb.NOT_AUTHENTICATED
    assert await service.client.type("call", "pin", b"4711") == "REJECTED"
    await service.client.log_in("call")


async def test_a_silent_redis_is_unavailable_at_once(
    service: Service, own_stores: embedded.Datastores
) -> None:
    """Nobody is taken for somebody, or waits."""
    client = service.client
    await client.log_in("call")
    _signal_all(own_stores.valkey_server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(grpc.aio.AioRpcError) as away:
            await client.ask("Accounts", "call")
        assert away.value.code() == grpc.StatusCode.UNAVAILABLE
        assert (await client.look("call")).closed
        assert await client.type("call", "pin", b"4711") == "UNAVAILABLE"
    finally:
        _signal_all(own_stores.valkey_server.pid, signal.SIGCONT)
    assert (await client.ask("Accounts", "call")).accounts


async def test_who_writes_to_redis_forges_nobody(service: Service, fresh: embedded.Fresh) -> None:
    """Not by another call's identity, nor by a changed one, nor by keeping a stale one alive."""
    client: Client = service.client
    await client.log_in("call")
    async with redis.client(fresh.redis("admin")) as admin:
        kept = {key: await admin.get(key) for key in (b"banking:who:call", b"banking:used:call")}
        for key, value in kept.items():
            assert value is not None and b"10012345" not in value and b"cus-emma" not in value
            await admin.set(key.replace(b"call", b"thief"), value)
            assert 0 < await admin.ttl(key) <= 7200
        assert (await client.look("thief")).level == pb.AuthenticationReply.NOBODY
        assert await admin.ttl(b"banking:used:call") <= 300
        changed = bytearray(kept[b"banking:who:call"])
        changed[20] ^= 1
        await admin.set(b"banking:who:call", bytes(changed))
        assert (await client.look("call")).level == pb.AuthenticationReply.NOBODY
        await admin.set(b"banking:who:call", kept[b"banking:who:call"])
        assert (await client.look("call")).level == pb.AuthenticationReply.AUTHENTICATED
        await admin.set(b"banking:used:call", b"9999999999.0")
        assert (await client.look("call")).stale


DENIED = (
    "DELETE FROM banking.attempt",
    "DELETE FROM banking.quote",
    "DELETE FROM banking.execution",
    "TRUNCATE banking.attempt",
    "TRUNCATE banking.quote CASCADE",
    "TRUNCATE banking.execution",
    "UPDATE banking.quote SET amount_minor = 1",
    "UPDATE banking.quote SET valid_until = now()",
    "UPDATE banking.attempt SET subject = 'caller:x'",
    "UPDATE banking.execution SET idempotency_key = 'x'",
    "UPDATE banking.execution SET quote_id = gen_random_uuid()",
    "UPDATE banking.execution SET confirmed_by = 'voice'",
    "DROP TABLE banking.quote",
    "ALTER TABLE banking.execution DISABLE TRIGGER ALL",
    "CREATE TABLE banking.more (a int)",
    "CREATE TABLE public.more (a int)",
    "CREATE SCHEMA more",
    "SELECT 1 FROM audit.entry",
    "UPDATE audit.entry SET action = 'nothing'",
    "DELETE FROM audit.entry",
    "TRUNCATE audit.entry",
    "SET ROLE tellerline_owner",
    "SET ROLE tellerline_session",
    "CREATE ROLE more",
)


async def test_the_database_user_can_do_only_what_it_needs(service: Service, fresh: embedded.Fresh) -> None:
    """Each denied verb: 42501, insufficient_privilege."""
    await service.client.log_in("call")
    with psycopg.connect(**postgres.parameters(fresh.database("banking")), autocommit=True) as connection:
        for statement in DENIED:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        tables = connection.execute(
            "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname = 'session'"
        ).fetchall()
        for (name,) in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT 1 FROM {name}".encode())


async def test_what_is_settled_cannot_be_settled_otherwise(service: Service, fresh: embedded.Fresh) -> None:
    """The table itself refuses, whoever asks."""
    await service.client.log_in("call")
    quote = await service.client.quote("call", 500)
    assert (await service.client.execute("call", quote)).state == REPLY.EXECUTED
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
        rows(fresh, "UPDATE banking.execution SET state = 'refused' RETURNING 1")


def _signal_all(pid: int | None, number: signal.Signals) -> None:
    """A server and its children: PostgreSQL is a family of processes."""
    assert pid is not None
    parent = psutil.Process(pid)
    for process in (parent, *parent.children(recursive=True)):
        process.send_signal(number)
