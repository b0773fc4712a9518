"""Money moves once, within its limits, as it was read back, whatever happens on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tellerline.banking import orders
from tellerline.embedded import Fresh
from tellerline.rpc import banking_pb2 as pb
from tellerline.sandbox_bank import behaviour
from tellerline.settings import BankingSettings

from .conftest import CURRENT, SAVINGS, Client, Service, rows, serving, until

REPLY = pb.ExecuteReply


def faults(bank: Any, **fault: Any) -> None:
    """Has the bank misbehave from now on."""
    bank[0].behaviour.switch((behaviour.Fault(**fault),) if fault else ())


def moved(bank: Any) -> list[int]:
    """Amounts of the orders the bank has executed."""
    return [done["amount"] for done in bank[0].books.moved() if done["state"] == "executed"]


def asked_of(bank: Any) -> list[str]:
    """The operations the bank was asked for."""
    return [request["operation"] for request in bank[0].journal]


async def settled(client: Client, call_id: str, quote: pb.QuoteReply) -> pb.ExecuteReply:
    """What becomes of an order in doubt."""
    async with asyncio.timeout(30):
        while True:
            reply = await client.execute(call_id, quote)
            if reply.state != REPLY.PENDING:
                return reply
            await asyncio.sleep(0.1)


async def test_a_transfer_is_quoted_confirmed_and_executed_once(
    client: Client, bank: Any, fresh: Fresh
) -> None:
    """Asked three times, told three times, moved once; the intent was audited before the bank was asked."""
    await client.log_in("call")
    quote = await client.quote("call", 5000, payee_id="payee-emma-energy")
    assert (quote.payee, quote.payee_ending, quote.from_ending) == ("Green Energy Limited", "6640", "4821")
    assert (quote.amount.minor_units, quote.fee.minor_units) == (5000, 0)
    assert 0 < quote.valid_seconds <= 120
    replies = [await client.execute("call", quote) for _ in range(3)]
    assert {(reply.state, bool(reply.reference)) for reply in replies} == {(REPLY.EXECUTED, True)}
    assert moved(bank) == [5000]
    actions = [row["action"] for row in rows(fresh, "SELECT action FROM audit.entry ORDER BY position")]
    orders = [action for action in actions if action.startswith("order_")]
    assert orders == ["order_quoted", "order_intended", "order_executed"]
    [execution] = rows(fresh, "SELECT state, sealed_customer FROM banking.execution")
    assert execution == {"state": "executed", "sealed_customer": None}


async def test_two_that_ask_at_once_move_it_once(client: Client, bank: Any) -> None:
    """Whoever comes second hears that it is pending, or what became of it."""
    await client.log_in("call")
    faults(bank, mode="slow", operations=("execute",), delay_ms=200)
    quote = await client.quote("call", 700)
    replies = await asyncio.gather(*(client.execute("call", quote) for _ in range(5)))
    assert sorted(REPLY.State.Name(reply.state) for reply in replies) == ["EXECUTED"] + ["PENDING"] * 4
    assert moved(bank) == [700]


async def test_a_bill_and_ones_own_account_are_paid_alike(client: Client, bank: Any) -> None:
    """The other two kinds of orders."""
    await client.log_in("call")
    order = pb.BillOrder(from_account_id=CURRENT, bill_id="bill-emma-water")
    bill = await client.ask("Quote", "call", bill=order)
    assert (bill.payee, bill.amount.minor_units) == ("City Water", 3175)
    assert (await client.execute("call", bill, confirmed_by="voice")).state == REPLY.EXECUTED
    own = await client.quote("call", 1000, to_account_id=SAVINGS)
    assert (own.payee, own.payee_ending) == ("Holiday savings", "7733")
    assert (await client.execute("call", own)).state == REPLY.EXECUTED
    assert moved(bank) == [3175, 1000]


async def test_a_token_is_good_for_its_order_on_its_call(client: Client, bank: Any) -> None:
    """Dynamic linking (RTS 2018/389 Art. 5): another order, call, customer or code moves nothing."""
    await client.log_in("call")
    await client.log_in("other call")
    await client.log_in("of deniz", b"20023456", b"1903")
    cheap, dear = await client.quote("call", 100), await client.quote("call", 90_000)
    attempts = [
        client.execute("call", dear, token=cheap.token),
        client.execute("call", dear, token=b""),
        client.execute("call", dear, token=dear.token[:-1] + bytes([dear.token[-1] ^ 1])),
        client.execute("call", dear, quote_id="not a quote"),
        client.execute("call", dear, quote_id="00000000-0000-4000-8000-000000000000"),
        client.execute("other call", dear),
        client.execute("of deniz", dear),
    ]
    for reply in await asyncio.gather(*attempts):
        assert (reply.state, reply.refusal) == (REPLY.REFUSED, pb.TOKEN_REFUSED)
    assert (await client.execute("nobody's", dear)).refusal == pb.NOT_AUTHENTICATED
    assert moved(bank) == []


async def test_limits_hold_for_the_call_and_for_the_day(client: Client, bank: Any) -> None:
    """What is quoted is not spent; what is executed or in doubt is."""
    await client.log_in("call")
    assert (await client.quote("call", 100_001)).refusal == pb.LIMIT_PER_CALL
    first, second = await client.quote("call", 60_000), await client.quote("call", 60_000)
    assert (await client.execute("call", first)).state == REPLY.EXECUTED
    refused = await client.execute("call", second)
    assert (refused.state, refused.refusal) == (REPLY.REFUSED, pb.LIMIT_PER_CALL)
    assert (await client.quote("call", 60_000)).refusal == pb.LIMIT_PER_CALL
    await client.log_in("second call")
    again = await client.quote("second call", 100_000)
    assert (await client.execute("second call", again)).state == REPLY.EXECUTED
    await client.log_in("third call")
    assert (await client.quote("third call", 60_000)).refusal == pb.LIMIT_PER_DAY
    assert moved(bank) == [60_000, 100_000]


async def test_orders_at_once_do_not_pass_a_limit_together(client: Client, bank: Any) -> None:
    """Each alone is within the limit, all together are not: one of them is executed."""
    await client.log_in("call")
    quotes = [await client.quote("call", 70_000) for _ in range(4)]
    replies = await asyncio.gather(*(client.execute("call", quote) for quote in quotes))
    assert [reply.state for reply in replies].count(REPLY.EXECUTED) == 1
    assert {reply.refusal for reply in replies if reply.state == REPLY.REFUSED} == {pb.LIMIT_PER_CALL}
    assert moved(bank) == [70_000]


async def test_what_the_bank_refuses_stays_refused(client: Client, bank: Any) -> None:
    """No money for it, unknown payee: said as such, with nothing moved."""
    await client.log_in("call")
    assert (await client.quote("call", 1000, payee_id="payee-of-nobody")).refusal == pb.NOT_FOUND
    poor = pb.TransferOrder(
        from_account_id="acc-emma-savings",
        amount=pb.Money(minor_units=90_000, currency="EUR"),
        payee_id="payee-emma-maria",
    )
    assert (await client.ask("Quote", "call", transfer=poor)).refusal == pb.REFUSED_BY_BANK
    assert moved(bank) == []


@pytest.mark.parametrize("mode", ["hanging", "cut_off", "garbled", "failing"])
async def test_no_answer_is_a_doubt_that_is_asked_about_and_never_retried(
    client: Client, bank: Any, mode: str
) -> None:
    """The bank did it and could not say so: pending, then executed, with one order sent."""
    await client.log_in("call")
    quote = await client.quote("call", 1200)
    faults(bank, mode=mode, operations=("execute",), deed="done")
    assert (await client.execute("call", quote)).state == REPLY.PENDING
    assert (await settled(client, "call", quote)).state == REPLY.EXECUTED
    assert moved(bank) == [1200]
    assert asked_of(bank).count("execute") == 1


async def test_an_order_the_bank_never_saw_is_refused_once_its_quote_has_lapsed(
    service: Service, bank: Any, fresh: Fresh
) -> None:
    """Until then it might still arrive, and counts towards the limits."""
    client = service.client
    await client.log_in("call")
    quote = await client.quote("call", 60_000)
    faults(bank, mode="hanging", operations=("execute",), deed="not_done", times=1)
    assert (await client.execute("call", quote)).state == REPLY.PENDING
    assert (await client.quote("call", 60_000)).refusal == pb.LIMIT_PER_CALL
    await until(lambda: "execution" in asked_of(bank))
    assert (await client.execute("call", quote)).state == REPLY.PENDING
    past = "UPDATE banking.quote SET bank_valid_until = now() - interval '61 seconds' RETURNING 1"
    assert rows(fresh, past)
    lost = await settled(client, "call", quote)
    assert (lost.state, lost.refusal) == (REPLY.REFUSED, pb.REFUSED_BY_BANK)
    assert moved(bank) == []
    assert (await client.quote("call", 60_000)).refusal == pb.REFUSAL_NONE


async def test_an_order_goes_on_without_whoever_asked(client: Client, bank: Any, fresh: Fresh) -> None:
    """The pipeline dies while the bank works: the order ends as it would have."""
    await client.log_in("call")
    quote = await client.quote("call", 800)
    faults(bank, mode="slow", operations=("execute",), delay_ms=300)
    asking = asyncio.create_task(client.execute("call", quote))
    await until(lambda: "execute" in asked_of(bank))
    asking.cancel()
    assert (await settled(client, "call", quote)).state == REPLY.EXECUTED
    assert moved(bank) == [800]


async def test_a_caller_hears_of_a_slow_order_before_the_bank_answers(
    client: Client, bank: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pending at the end of our patience; the order goes on, and its answer is kept."""
    monkeypatch.setattr(orders, "_ANSWER_SECONDS", 0.05)
    await client.log_in("call")
    quote = await client.quote("call", 300)
    faults(bank, mode="slow", operations=("execute",), delay_ms=300)
    assert (await client.execute("call", quote)).state == REPLY.PENDING
    assert (await settled(client, "call", quote)).state == REPLY.EXECUTED
    assert moved(bank) == [300]


async def test_a_bank_that_takes_its_time_is_pending(client: Client, bank: Any) -> None:
    """The bank has the order and has not done it yet."""
    await client.log_in("call")
    quote = await client.quote("call", 900)
    faults(bank, mode="pending", operations=("execute",))
    assert (await client.execute("call", quote)).state == REPLY.PENDING
    assert (await settled(client, "call", quote)).state == REPLY.EXECUTED
    assert moved(bank) == [900]


async def test_a_bank_that_is_away_is_unavailable_and_counts_no_attempt(client: Client, bank: Any) -> None:
    """The bank's trouble is not the caller's: no failure is counted, and nothing is half done."""
    await client.log_in("call")
    quote = await client.quote("call", 900)
    faults(bank, mode="failing")
    with pytest.raises(grpc.aio.AioRpcError) as away:
        await client.ask("Accounts", "call")
    assert away.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "503" not in (away.value.details() or "")
    await client.type("other", "customer_number", b"10012345")
    for _ in range(6):
        assert await client.type("other", "pin", b"4711") == "UNAVAILABLE"
    known = await client.look("other")
    assert not known.locked and not known.last_attempt
    assert (await client.banking.Status(pb.BankStatusRequest())).breaker == "open"
    # The breaker is open: the order was surely not sent, and is over.
    with pytest.raises(grpc.aio.AioRpcError) as unsent:
        await client.execute("call", quote)
    assert unsent.value.code() == grpc.StatusCode.UNAVAILABLE
    assert (await client.execute("call", quote)).state == REPLY.REFUSED
    assert moved(bank) == []


async def test_two_instances_are_one_service(chosen: BankingSettings, bank: Any) -> None:
    """Logged in at one, quoted at the other, executed at both: once."""
    second = chosen.model_copy(
        update={
            "listen": chosen.listen.replace("banking.sock", "banking2.sock"),
            "secrets_listen": chosen.secrets_listen.replace("secrets.sock", "secrets2.sock"),
        }
    )
    async with serving(chosen) as one, serving(second) as two:
        await one.client.log_in("call")
        quote = await two.client.quote("call", 4000)
        replies = await asyncio.gather(*(side.client.execute("call", quote) for side in (one, two)))
        assert REPLY.EXECUTED in {reply.state for reply in replies}
        await two.client.ask("Forget", "call")
        assert (await one.client.look("call")).level == pb.AuthenticationReply.NOBODY
        status = await one.client.banking.Status(pb.BankStatusRequest())
        told = [(told.breaker, told.money_closed) for told in status.instances]
        assert told == [("closed", False)] * 2
        assert status.HasField("unsettled_orders") and status.unsettled_orders == 0
    assert moved(bank) == [4000]
