"""`tellerline banking status`: which instances answer, and whether anything is closed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from tellerline.cli.main import cli
from tellerline.settings import BankingSettings

from .conftest import Service, serving
from .test_orders import faults


@pytest.fixture
def status(chosen: BankingSettings) -> Any:
    """The command as an operator gives it: exit status and output."""

    async def run(*more: str) -> tuple[int, str]:
        words = ["banking", "status", "--banking", chosen.listen]
        for address in more:
            words += ["--banking", address]
        done = await asyncio.to_thread(CliRunner().invoke, cli, words)
        return done.exit_code, done.output

    return run


async def test_all_is_well(service: Service, status: Any) -> None:
    code, told = await status()
    assert code == 0, told
    assert f"{service.chosen.listen}  answers  breaker closed  money open\n" in told
    assert "unsettled orders: 0\n" in told


async def test_an_instance_that_is_away_is_named(service: Service, status: Any, folder: Any) -> None:
    code, told = await status(f"unix:{folder}/nobody.sock")
    assert code == 1
    assert "nobody.sock  does not answer (UNAVAILABLE)\n" in told
    assert f"{service.chosen.listen}  answers" in told


async def test_an_open_breaker_and_an_order_in_doubt(service: Service, status: Any, bank: Any) -> None:
    client = service.client
    await client.log_in("call")
    quote = await client.quote("call", 4000)
    faults(bank, mode="hanging", operations=("execute", "execution"))
    await client.execute("call", quote)
    faults(bank, mode="failing")
    for _ in range(6):
        with contextlib.suppress(grpc.aio.AioRpcError):
            await client.ask("Accounts", "call")
    code, told = await status()
    assert code == 1
    assert f"{service.chosen.listen}  answers  breaker open  money open\n" in told
    assert "unsettled orders: 1\n" in told


async def test_instances_that_were_not_asked_are_told_of(
    service: Service, status: Any, chosen: BankingSettings
) -> None:
    second = chosen.model_copy(
        update={
            "listen": chosen.listen.replace("banking.sock", "banking2.sock"),
            "secrets_listen": chosen.secrets_listen.replace("secrets.sock", "secrets2.sock"),
        }
    )
    async with serving(second):
        async with asyncio.timeout(10):
            while "banking2.sock  breaker closed  money open" not in (await status())[1]:
                pass
