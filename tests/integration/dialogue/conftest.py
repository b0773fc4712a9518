"""Real banking over a sandbox bank, PostgreSQL and Valkey; the engine's router in this process."""

from __future__ import annotations

import base64
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tellerline import embedded
from tellerline.banking import server
from tellerline.engine.router.loading import load_router
from tellerline.engine.router.router import IntentRouter
from tellerline.engine.store import ModelStore
from tellerline.instances import Instances
from tellerline.pipeline.flows.events import Guess
from tellerline.pipeline.understanding import Routed
from tellerline.rpc import banking_pb2_grpc as rpc
from tellerline.sandbox_bank import app, seed
from tellerline.sandbox_bank import server as sandbox
from tellerline.settings import BankingSettings, BankSettings, RouterSettings, ServiceAddresses

from .talk import Talk, call_id

EMMA, EMMA_PIN = "10012345", "4711"
DENIZ, DENIZ_PIN = "20023456", "1903"
TOM, TOM_PIN = "30034567", "2468"


@pytest.fixture(scope="session")
def router(model_store: ModelStore) -> Iterator[IntentRouter]:
    """The intent router as the engine loads it."""
    loaded = load_router(RouterSettings(), model_store)
    yield loaded
    loaded.close()


class RouterUnderstanding:
    """The router without an engine around it; the language model has no opinion unless given one."""

    def __init__(self, router: IntentRouter, opinion: str = "") -> None:
        self._router = router
        self.opinion = opinion

    async def route(self, text: str, language: str) -> Routed:
        routed = await self._router.route(text, language)
        guesses = tuple(Guess(guess.intent, guess.probability, "router") for guess in routed.guesses[:5])
        return Routed(guesses, routed.accepted)

    async def choose(self, text: str, language: str, among: Sequence[str]) -> str:
        return self.opinion if self.opinion in among else ""


@dataclass
class Bank:
    """The bank behind the voice."""

    sandbox: app.SandboxBank
    # Its switches and its journal.
    switches: str
    banking: Instances
    secrets: Instances


@pytest.fixture(scope="session")
def stores() -> Iterator[embedded.Datastores]:
    """One PostgreSQL is enough here: banking's own tests know both."""
    with embedded.temporary() as running:
        yield running


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Where banking listens; the same place for every test, so that a pipeline may wait for it there."""
    with tempfile.TemporaryDirectory(prefix="tl-talk-") as name:
        yield Path(name)


@pytest.fixture
async def bank(stores: embedded.Datastores, folder: Path) -> AsyncIterator[Bank]:
    """A sandbox bank and a banking service over it."""
    async with opened(stores, folder, seed.load()) as running:
        yield running


@contextlib.asynccontextmanager
async def opened(stores: embedded.Datastores, folder: Path, seeds: seed.Seed) -> AsyncIterator[Bank]:
    """The bank of these customers; banking listens in `folder`."""
    fresh = stores.fresh()
    async with contextlib.AsyncExitStack() as stack:
        core, base_url = await stack.enter_async_context(sandbox.running(app.SandboxBank(seeds)))
        key = folder / "audit.key"
        key.write_bytes(base64.b64encode(os.urandom(32)))
        chosen = BankingSettings(
            listen=f"unix:{folder}/banking.sock",
            secrets_listen=f"unix:{folder}/secrets.sock",
            database=fresh.database("banking"),
            redis=fresh.redis("banking"),
            bank=BankSettings(base_url=base_url, timeout_seconds=1.0),
            audit_key=key,
            audit_heads=Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tl-heads-"))),
        )
        await stack.enter_async_context(server.running(chosen))
        doors = ((chosen.listen, rpc.BankingStub), (chosen.secrets_listen, rpc.SecretInputStub))
        banking, secrets = [
            await stack.enter_async_context(Instances(ServiceAddresses(addresses=(address,)), stub))
            for address, stub in doors
        ]
        yield Bank(core, base_url.removesuffix(app.BASE_PATH) + "/sandbox", banking, secrets)


Dial = Callable[..., Talk]


@pytest.fixture
def dial(bank: Bank, router: IntentRouter) -> Dial:
    """Makes a call that has not begun."""

    def made(language: str = "en", **how: Any) -> Talk:
        understanding = how.pop("understanding", None) or RouterUnderstanding(router)
        return Talk(call_id(), bank.banking, bank.secrets, understanding, language=language, **how)

    return made
