"""A sandbox bank served in the test's event loop, and the adapter in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from tellerline.banking.rest import RestBank
from tellerline.sandbox_bank import seed, server
from tellerline.sandbox_bank.app import SandboxBank
from tellerline.sandbox_bank.behaviour import Fault
from tellerline.settings import BankSettings

EMMA = "cus-emma-clark"
# For a bank that does not answer; one that does is given the usual 5 s, as a busy machine may need them.
TIMEOUT_SECONDS = 0.5


class Clock:
    """The bank's clock, put forward by tests."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def forward(self, seconds: float) -> None:
        """Lets `seconds` pass at the bank."""
        self._ahead += timedelta(seconds=seconds)


@dataclass
class Served:
    """A served sandbox bank."""

    bank: SandboxBank
    base_url: str
    clock: Clock

    def fault(self, mode: str, *operations: str, **options: object) -> None:
        """Switches one fault on and every other off."""
        fault = Fault.model_validate({"mode": mode, "operations": operations, **options})
        self.bank.behaviour.switch((fault,))

    def asked(self, operation: str) -> int:
        """How often `operation` arrived."""
        return sum(entry["operation"] == operation for entry in self.bank.journal)

    def moved(self) -> list[str]:
        """References of what was executed."""
        return [entry["reference"] for entry in self.bank.books.moved() if entry["state"] == "executed"]


@pytest.fixture
async def sandbox() -> AsyncIterator[Served]:
    clock = Clock()
    async with server.running(SandboxBank(seed.load(), clock=clock)) as (bank, base_url):
        yield Served(bank, base_url, clock)


@pytest.fixture
def settings(sandbox: Served) -> BankSettings:
    # The breaker has tests of its own; here it stays out of the way.
    return BankSettings(base_url=sandbox.base_url, breaker_failures=1000)


@pytest.fixture
async def bank(settings: BankSettings) -> AsyncIterator[RestBank]:
    async with RestBank(settings) as adapter:
        yield adapter


@pytest.fixture
async def impatient(settings: BankSettings) -> AsyncIterator[RestBank]:
    """The adapter to ask a bank with that does not answer."""
    async with RestBank(settings.model_copy(update={"timeout_seconds": TIMEOUT_SECONDS})) as adapter:
        yield adapter
