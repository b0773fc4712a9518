"""A thousand typed secrets are looked for wherever the banking service writes: none is found."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import click.testing
import pytest
from held import held

from tellerline import embedded, settings
from tellerline.cli.unlock import unlock
from tellerline.database import redis
from tellerline.settings import BankingSettings, BankSettings

from .conftest import EMMA, EMMA_PIN, Client, Service, rows, serving

SECRETS = 1000


@pytest.fixture
def own_stores(tmp_path: Path) -> Iterator[embedded.Datastores]:
    """Servers whose files can be read."""
    with embedded.Datastores(tmp_path / "stores") as stores:
        yield stores


@pytest.fixture
async def service(folder: Path, own_stores: embedded.Datastores, bank: Any) -> AsyncIterator[Service]:
    """A service on them."""
    key = folder / "audit.key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    chosen = BankingSettings(
        listen=f"unix:{folder}/banking.sock",
        secrets_listen=f"unix:{folder}/secrets.sock",
        database=own_stores.database("banking"),
        redis=own_stores.redis("banking"),
        bank=BankSettings(base_url=bank[1], timeout_seconds=5.0),
        audit_key=key,
        audit_heads=folder / "heads",
    )
    async with serving(chosen) as running:
        yield running


def _contents(folder: Path) -> list[bytes]:
    return list(held(folder).values())


async def _typed(client: Client, secrets: list[bytes]) -> None:
    """Half of them as customer numbers, half as PINs, a few at a time."""
    some = asyncio.Semaphore(4)

    async def type_pair(number: int, customer: bytes, pin: bytes) -> None:
        async with some:
            call, caller = f"call-{number}", f"caller-{number}"
            await client.type(call, "customer_number", customer, caller=caller)
            assert await client.type(call, "pin", pin, caller=caller) == "REJECTED"

    pairs = zip(secrets[::2], secrets[1::2], strict=True)
    await asyncio.gather(*(type_pair(n, customer, pin) for n, (customer, pin) in enumerate(pairs)))


async def test_no_typed_secret_is_in_any_sink(
    service: Service, own_stores: embedded.Datastores, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL's files with its log and write-ahead log, all of Redis, the log at its loudest."""
    chance = random.Random(1977)
    secrets = [b"%011d" % chance.randrange(10**11) for _ in range(SECRETS)]
    with caplog.at_level(logging.DEBUG):
        await _typed(service.client, secrets)
        await service.client.log_in("right")
    async with redis.client(own_stores.redis("admin")) as admin:
        keys = [key async for key in admin.scan_iter(count=1000)]
        states = b"banking:states"
        identities = [key + (await admin.get(key) or b"") for key in keys if key != states]
        kept = b"".join((*identities, *await admin.hvals(states)))
    assert len(identities) == SECRETS + 2
    # What was written, the write-ahead log of it included, is on disk when the server has stopped.
    await asyncio.to_thread(own_stores.postgres_server.stop)
    files = await asyncio.to_thread(_contents, tmp_path)
    # It looks in the right place: what may be written down is found.
    assert any(b"pin_refused" in data for data in files)
    sinks = (*files, kept, caplog.text.encode())
    found = [secret for secret in secrets if any(secret in sink for sink in sinks)]
    assert found == []


async def test_a_lock_is_lifted_by_command_and_audited(
    service: Service, own_stores: embedded.Datastores, folder: Path
) -> None:
    """`tellerline unlock` asks for the number at the prompt; the customer can log in again."""
    for attempt in range(5):
        await service.client.type("call", "customer_number", EMMA, caller=f"caller-{attempt}")
        await service.client.type("call", "pin", b"0000", caller=f"caller-{attempt}")
    assert await service.client.type("call", "pin", EMMA_PIN, caller="another") == "REJECTED"
    config = folder / "banking.yml"
    config.write_text(settings.dump(service.chosen))
    command = ["--config", str(config), "--reason", "branch 12, identity card seen"]
    run = click.testing.CliRunner().invoke
    done = await asyncio.to_thread(run, unlock, command, input=EMMA.decode() + "\n")
    assert (done.exit_code, done.stdout) == (0, "5 failed attempts forgotten\n")
    assert (await asyncio.to_thread(run, unlock, command, input="77777777\n")).exit_code == 1
    assert await service.client.type("call", "pin", EMMA_PIN, caller="another") == "ACCEPTED"
    fresh = embedded.Fresh(own_stores, embedded.DATABASE, 0)
    [entry] = rows(fresh, "SELECT detail FROM audit.entry WHERE action = 'customer_unlocked'")
    assert "branch 12" in entry["detail"]
