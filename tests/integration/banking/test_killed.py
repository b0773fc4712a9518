"""kill -9 at every step of a transfer: nothing is moved twice, and nothing is moved unrecorded."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tellerline.embedded import Fresh
from tellerline.rpc import banking_pb2 as pb
from tellerline.sandbox_bank import behaviour
from tellerline.settings import BankingSettings

from . import dying
from .conftest import SECONDS, Client, rows, serving, until

ROUNDS = 2
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tellerline.banking.server"])
# What stands in the end where the caller did not ask again, and where they did; None: nothing was ever begun.
_EXPECTED = {
    "before_intent": (None, "executed"),
    "in_intent": (None, "executed"),
    # The instance died between writing and sending: nobody sends it again.
    "intent_written": ("refused", "refused"),
    "while_bank_works": ("executed", "executed"),
    "bank_answered": ("executed", "executed"),
    "in_settling": ("executed", "executed"),
    "settled": ("executed", "executed"),
}
_SLOW = behaviour.Fault(mode="slow", operations=("execute",), delay_ms=300)


@contextlib.contextmanager
def victim(chosen: BankingSettings, step: str) -> Iterator[Any]:
    """An instance that is about to die, serving."""
    process = _PROCESSES.Process(target=dying.serve, args=(chosen, step), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()


def beside(chosen: BankingSettings, folder: Path, number: int) -> BankingSettings:
    """The settings of another instance of the same service."""
    listen, secrets = f"unix:{folder}/v{number}.sock", f"unix:{folder}/s{number}.sock"
    return chosen.model_copy(update={"listen": listen, "secrets_listen": secrets})


async def executed_by_one_that_dies(
    survivor: Client, chosen: BankingSettings, step: str, bank: Any, call_id: str
) -> pb.QuoteReply:
    """Asks an instance to execute a quote; it dies at `step`."""
    await survivor.log_in(call_id)
    quote = await survivor.quote(call_id, 100)
    with victim(chosen, step) as process:
        client = Client(chosen)
        await client.banking.Status(pb.BankStatusRequest(), wait_for_ready=True, timeout=SECONDS)
        bank[0].behaviour.switch((_SLOW,) if step == "while_bank_works" else ())
        before = len(bank[0].journal)
        asking = asyncio.create_task(client.execute(call_id, quote))
        if step == "while_bank_works":
            await until(lambda: any(r["operation"] == "execute" for r in list(bank[0].journal)[before:]))
            process.kill()
        await until(lambda: not process.is_alive())
        with pytest.raises(grpc.aio.AioRpcError) as died:
            await asking
        assert died.value.code() == grpc.StatusCode.UNAVAILABLE
        await client.close()
    return quote


@pytest.mark.timeout(240)
async def test_an_order_survives_death_at_any_step(
    chosen: BankingSettings, folder: Path, bank: Any, fresh: Fresh
) -> None:
    """Half of the callers ask another instance at once, as pipelines do; it finds the others' orders."""
    # No doubts but those of the dead: on a busy machine the tests' usual half second is short.
    chosen = chosen.model_copy(update={"bank": chosen.bank.model_copy(update={"timeout_seconds": 5.0})})
    numbers = itertools.count()
    quotes = []
    async with serving(chosen) as survivor:
        for step, attempt in itertools.product(dying.STEPS, range(ROUNDS)):
            number = next(numbers)
            call_id = f"call-{number}"
            other = beside(chosen, folder, number)
            quote = await executed_by_one_that_dies(survivor.client, other, step, bank, call_id)
            asked_again = bool(attempt % 2)
            quotes.append(((step, asked_again), quote.quote_id))
            if asked_again:
                await survivor.client.execute(call_id, quote)
        # What the bank has not seen is over when its quote is.
        rows(fresh, "UPDATE banking.quote SET bank_valid_until = now() - interval '61 seconds' RETURNING 1")
        await until(lambda: not rows(fresh, "SELECT 1 FROM banking.execution WHERE settled_at IS NULL"))
    _check(quotes, bank, fresh)


def _check(quotes: list[tuple[tuple[str, bool], str]], bank: Any, fresh: Fresh) -> None:
    sent = Counter(request["key"] for request in bank[0].journal if request["operation"] == "execute")
    assert set(sent.values()) == {1}, "an order was sent twice"
    by_bank = {done["key"].removeprefix("tellerline-"): done["reference"] for done in bank[0].books.moved()}
    kept = {
        str(row["quote_id"]): row["reference"]
        for row in rows(fresh, "SELECT quote_id, reference FROM banking.execution WHERE state = 'executed'")
    }
    assert kept == by_bank
    audited = Counter(
        (row["action"], row["quote"])
        for row in rows(fresh, "SELECT action, detail::json ->> 'quote' AS quote FROM audit.entry")
    )
    states = {
        str(row["quote_id"]): row["state"]
        for row in rows(fresh, "SELECT quote_id, state FROM banking.execution")
    }
    for (step, asked_again), quote_id in quotes:
        state = states.get(quote_id)
        assert state == _EXPECTED[step][asked_again], (step, asked_again)
        assert audited["order_intended", quote_id] == (state is not None), step
        assert audited["order_executed", quote_id] == (state == "executed"), step
        assert (quote_id in by_bank) == (state == "executed"), step
