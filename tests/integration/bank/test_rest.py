"""The adapter against a bank that is slow, failing, hanging or lying, over real HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tellerline.banking import model
from tellerline.banking.ports import BreakerState
from tellerline.banking.rest import RestBank
from tellerline.errors import BankInDoubt, BankRefusal, BankUnavailable, SettingsError
from tellerline.sandbox_bank import seed, server
from tellerline.sandbox_bank.app import SandboxBank
from tellerline.settings import BankSettings

from .conftest import EMMA, TIMEOUT_SECONDS, Served

KEY = "transfer-0123456789"
FIFTY = model.Money(5000, "GBP")
TO_MARIA = model.TransferOrder("acc-emma-current", FIFTY, payee_id="payee-emma-maria")
NO_ANSWER = ("failing", "hanging", "cut_off", "garbled", "refusing", "dripping")

Ask = Callable[[RestBank], Awaitable[object]]
READS: dict[str, Ask] = {
    "findCustomer": lambda bank: bank.find_customer("10012345"),
    "accounts": lambda bank: bank.accounts(EMMA),
    "transactions": lambda bank: bank.transactions(EMMA, "acc-emma-current"),
    "cards": lambda bank: bank.cards(EMMA),
    "cardDelivery": lambda bank: bank.card_delivery(EMMA, "card-emma-new"),
    "blockCard": lambda bank: bank.block_card(EMMA, "card-emma-new", KEY),
    "bills": lambda bank: bank.bills(EMMA),
    "payees": lambda bank: bank.payees(EMMA),
    "quote": lambda bank: bank.quote(EMMA, TO_MARIA),
    "execution": lambda bank: bank.execution(EMMA, KEY),
    "branches": lambda bank: bank.branches(),
}


# ---- answers in time


@pytest.mark.parametrize("mode", NO_ANSWER)
@pytest.mark.parametrize("operation", ["accounts", "blockCard", "execution"])
async def test_a_bank_without_an_answer_is_unavailable(
    sandbox: Served, impatient: RestBank, operation: str, mode: str
) -> None:
    sandbox.fault(mode, operation, delay_ms=TIMEOUT_SECONDS * 1000)
    async with asyncio.timeout(TIMEOUT_SECONDS * 10):
        with pytest.raises(BankUnavailable):
            await READS[operation](impatient)


@pytest.mark.parametrize("operation", READS)
async def test_what_does_no_harm_is_asked_again(sandbox: Served, bank: RestBank, operation: str) -> None:
    await bank.execute(EMMA, (await bank.quote(EMMA, TO_MARIA)).quote_id, KEY)
    before = sandbox.asked(operation)
    sandbox.fault("failing", operation, times=2)
    await READS[operation](bank)
    assert sandbox.asked(operation) == before + 3


async def test_it_is_asked_three_times_and_not_more(sandbox: Served, bank: RestBank) -> None:
    sandbox.fault("cut_off", "accounts")
    with pytest.raises(BankUnavailable):
        await bank.accounts(EMMA)
    assert sandbox.asked("accounts") == 3


async def test_a_bank_that_says_when_to_come_back_is_not_asked_again(sandbox: Served, bank: RestBank) -> None:
    sandbox.fault("refusing", "accounts")
    with pytest.raises(BankUnavailable):
        await bank.accounts(EMMA)
    assert sandbox.asked("accounts") == 1


async def test_retries_share_one_deadline(sandbox: Served, impatient: RestBank) -> None:
    # Each failure takes 0.7 of the time: a third attempt would begin after all of it.
    sandbox.bank.behaviour.latency_ms = int(TIMEOUT_SECONDS * 700)
    sandbox.fault("failing", "accounts")
    with pytest.raises(BankUnavailable):
        await impatient.accounts(EMMA)
    assert sandbox.asked("accounts") <= 2


# ---- PINs


async def test_a_pin_is_sent_once(sandbox: Served, impatient: RestBank) -> None:
    for mode in NO_ANSWER:
        before = sandbox.asked("checkPin")
        sandbox.fault(mode, "checkPin", deed="done", delay_ms=TIMEOUT_SECONDS * 1000)
        with pytest.raises(BankUnavailable):
            await impatient.check_pin("10012345", b"4711")
        assert sandbox.asked("checkPin") == before + 1


@pytest.mark.parametrize(
    ("number", "pin", "outcome"),
    [
        ("10012345", b"4711", "verified"),
        ("10012345", b"4712", "refused"),
        ("10012345", b"", "refused"),
        ("10012345", "٤٧١١".encode(), "refused"),
        ("99999999", b"4711", "refused"),
        ("", b"none", "refused"),
        ("40045678", b"1357", "locked"),
    ],
)
async def test_the_bank_compares_the_pin(bank: RestBank, number: str, pin: bytes, outcome: str) -> None:
    assert (await bank.check_pin(number, pin)).outcome == outcome


# ---- money


async def test_money_moves_once_for_a_key(sandbox: Served, bank: RestBank) -> None:
    quote = await bank.quote(EMMA, TO_MARIA)
    assert (quote.payee, quote.payee_ending, quote.amount) == ("Maria Lopez", "5512", FIFTY)
    before = (await bank.accounts(EMMA))[0].balance.minor_units
    first, second, *_ = [await bank.execute(EMMA, quote.quote_id, KEY) for _ in range(3)]
    assert first == second == await bank.execution(EMMA, KEY)
    assert sandbox.moved() == [first.reference]
    assert (await bank.accounts(EMMA))[0].balance.minor_units == before - 5000


@pytest.mark.parametrize("deed", ["done", "not_done"])
@pytest.mark.parametrize("mode", NO_ANSWER)
async def test_an_order_without_an_answer_is_in_doubt_and_resolved_by_its_key(
    sandbox: Served, bank: RestBank, impatient: RestBank, mode: str, deed: str
) -> None:
    quote = await bank.quote(EMMA, TO_MARIA)
    sandbox.fault(mode, "execute", deed=deed, delay_ms=TIMEOUT_SECONDS * 1000)
    with pytest.raises(BankInDoubt):
        await impatient.execute(EMMA, quote.quote_id, KEY)
    assert sandbox.asked("execute") == 1
    became = await bank.execution(EMMA, KEY)
    if deed == "done":
        assert became is not None
        assert [became.reference] == sandbox.moved()
    else:
        assert became is None
        assert sandbox.moved() == []


async def test_an_order_that_arrives_after_its_quote_expired_is_refused(
    sandbox: Served, bank: RestBank, impatient: RestBank
) -> None:
    quote = await bank.quote(EMMA, TO_MARIA)
    sandbox.fault("hanging", "execute", deed="late")
    with pytest.raises(BankInDoubt):
        await impatient.execute(EMMA, quote.quote_id, KEY)
    assert await bank.execution(EMMA, KEY) is None
    sandbox.clock.forward(121)
    sandbox.bank.behaviour.release()
    for _ in range(200):
        if (became := await bank.execution(EMMA, KEY)) is not None:
            break
        await asyncio.sleep(0.05)
    assert became == model.Execution(model.ExecutionState.REFUSED, reason=model.RefusalReason.QUOTE_EXPIRED)
    assert sandbox.moved() == []


async def test_an_order_left_pending_is_done_when_the_bank_gets_to_it(
    sandbox: Served, bank: RestBank
) -> None:
    quote = await bank.quote(EMMA, TO_MARIA)
    sandbox.fault("pending", "execute")
    assert (await bank.execute(EMMA, quote.quote_id, KEY)).state == "pending"
    assert sandbox.moved() == []
    states = [execution.state for _ in range(3) if (execution := await bank.execution(EMMA, KEY))]
    assert states == ["pending", "executed", "executed"]
    assert len(sandbox.moved()) == 1


async def test_an_order_that_never_left_is_not_in_doubt(settings: BankSettings) -> None:
    with server.listening() as sock:
        nobody = server.base_url(sock)
    async with RestBank(settings.model_copy(update={"base_url": nobody})) as bank:
        with pytest.raises(BankUnavailable):
            await bank.execute(EMMA, "quote-1", KEY)


async def test_an_order_that_waits_behind_hanging_ones_is_not_in_doubt(
    sandbox: Served, impatient: RestBank
) -> None:
    sandbox.fault("hanging")
    orders = [impatient.execute(EMMA, f"quote-{n}", f"{KEY}-{n}") for n in range(80)]
    outcomes = [type(outcome) for outcome in await asyncio.gather(*orders, return_exceptions=True)]
    assert set(outcomes) == {BankInDoubt, BankUnavailable}
    arrived = {entry["key"] for entry in sandbox.bank.journal}
    in_doubt = {f"{KEY}-{n}" for n, outcome in enumerate(outcomes) if outcome is BankInDoubt}
    assert arrived <= in_doubt


async def test_an_order_that_waits_for_a_connection_is_not_in_doubt(settings: BankSettings) -> None:
    with server.listening() as sock, ExitStack() as waiting:
        # The kernel completes no handshake while nobody accepts and the queue is full (listen(2)).
        sock.listen(0)
        for _ in range(4):
            filler = waiting.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        patience = {"base_url": server.base_url(sock), "timeout_seconds": TIMEOUT_SECONDS}
        async with RestBank(settings.model_copy(update=patience)) as bank:
            with pytest.raises(BankUnavailable):
                await bank.execute(EMMA, "quote-1", KEY)


async def test_an_order_to_a_bank_that_speaks_no_tls_is_not_in_doubt(
    sandbox: Served, settings: BankSettings
) -> None:
    tls = {"base_url": sandbox.base_url.replace("http:", "https:")}
    async with RestBank(settings.model_copy(update=tls)) as bank:
        with pytest.raises(BankUnavailable):
            await bank.execute(EMMA, "quote-1", KEY)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (model.TransferOrder("acc-emma-current", model.Money(999_999_99, "GBP"), "payee-emma-john"), "limit"),
        (model.TransferOrder("acc-emma-current", model.Money(500_000, "GBP"), "payee-emma-john"), "funds"),
        (model.TransferOrder("acc-emma-current", FIFTY, "payee-deniz-ayse"), "not_found"),
        (model.TransferOrder("acc-deniz-current", FIFTY, "payee-emma-john"), "not_found"),
        (model.TransferOrder("acc-emma-current", FIFTY, None, "acc-deniz-current"), "not_found"),
        (model.TransferOrder("acc-emma-current", FIFTY, None, "acc-emma-current"), "refused"),
        (model.TransferOrder("acc-emma-current", model.Money(0, "GBP"), "payee-emma-john"), "refused"),
        (model.TransferOrder("acc-emma-current", model.Money(1, "EUR"), "payee-emma-john"), "refused"),
        (model.BillOrder("acc-emma-current", "bill-deniz-gas"), "not_found"),
    ],
)
async def test_the_bank_says_no_before_anything_is_read_back(
    bank: RestBank, order: model.Order, reason: str
) -> None:
    with pytest.raises(BankRefusal, match=reason):
        await bank.quote(EMMA, order)


async def test_a_bill_is_paid_once_whatever_the_key(sandbox: Served, bank: RestBank) -> None:
    order = model.BillOrder("acc-emma-current", "bill-emma-energy")
    quotes = [await bank.quote(EMMA, order) for _ in range(2)]
    done = [await bank.execute(EMMA, q.quote_id, f"{KEY}-{n}") for n, q in enumerate(quotes)]
    assert [execution.state for execution in done] == ["executed", "refused"]
    assert [bill.bill_id for bill in await bank.bills(EMMA)] == ["bill-emma-water"]


async def test_a_key_and_a_quote_belong_together(bank: RestBank) -> None:
    first, second = [(await bank.quote(EMMA, TO_MARIA)).quote_id for _ in range(2)]
    assert (await bank.execute(EMMA, first, KEY)).state == "executed"
    with pytest.raises(BankRefusal, match="key_reused"):
        await bank.execute(EMMA, second, KEY)
    assert (await bank.execute(EMMA, first, KEY + "-2")).reason == "quote_used"


# ---- a bank, or something that is none


async def test_a_wrong_address_is_not_an_order_that_was_never_seen(settings: BankSettings) -> None:
    lost = settings.model_copy(update={"base_url": settings.base_url + "/elsewhere"})
    async with RestBank(lost) as bank:
        with pytest.raises(BankUnavailable):
            await bank.execution(EMMA, KEY)
        with pytest.raises(BankInDoubt):
            await bank.execute(EMMA, "quote-1", KEY)


@pytest.mark.parametrize(
    "card_id", ["../../cus-tom-baker/cards/card-tom-debit", "..", "a b", "", "ü", "a\r\nb"]
)
async def test_what_is_no_id_is_not_sent(sandbox: Served, bank: RestBank, card_id: str) -> None:
    with pytest.raises(BankRefusal, match="not_found"):
        await bank.card_delivery(EMMA, card_id)
    assert not sandbox.bank.journal


async def test_another_customers_things_are_not_found(bank: RestBank) -> None:
    with pytest.raises(BankRefusal, match="not_found"):
        await bank.transactions(EMMA, "acc-deniz-current")
    with pytest.raises(BankRefusal, match="not_found"):
        await bank.block_card(EMMA, "card-deniz-debit", KEY)


async def test_the_bank_is_shown_its_token(settings: BankSettings, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-the-banks\n")
    guarded = SandboxBank(seed.load(), token="a-token-of-the-banks")
    async with server.running(guarded) as (_, base_url):
        with_token = settings.model_copy(update={"base_url": base_url, "token": token})
        async with RestBank(with_token) as bank:
            assert await bank.accounts(EMMA)
        async with RestBank(settings.model_copy(update={"base_url": base_url})) as bank:
            with pytest.raises(BankUnavailable, match="401"):
                await bank.accounts(EMMA)


async def test_a_token_that_cannot_be_read_stops_the_start(settings: BankSettings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"bank\.token"):
        async with RestBank(settings.model_copy(update={"token": tmp_path / "none"})):
            pass


# ---- the breaker


async def test_a_bank_that_hangs_is_left_alone_and_found_again(
    sandbox: Served, settings: BankSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = {"breaker_failures": 5, "timeout_seconds": TIMEOUT_SECONDS}
    async with RestBank(settings.model_copy(update=impatient)) as bank:
        sandbox.fault("hanging")
        for _ in range(5):
            assert bank.breaker is BreakerState.CLOSED
            with pytest.raises(BankUnavailable):
                await bank.cards(EMMA)
        assert bank.breaker is BreakerState.OPEN
        asked = sandbox.asked("cards")
        with pytest.raises(BankUnavailable):
            await bank.cards(EMMA)
        # Money included: it surely did not leave.
        with pytest.raises(BankUnavailable):
            await bank.execute(EMMA, "quote-1", KEY)
        assert (sandbox.asked("cards"), sandbox.asked("execute")) == (asked, 0)
        sandbox.bank.behaviour.switch(())
        later = time.time() + settings.breaker_half_open_seconds + 1
        monkeypatch.setattr(time, "time", lambda: later)
        assert bank.breaker is BreakerState.HALF_OPEN
        assert await bank.cards(EMMA)
        assert bank.breaker is BreakerState.CLOSED


async def test_a_bank_that_says_no_is_a_bank_that_answers(sandbox: Served, settings: BankSettings) -> None:
    async with RestBank(settings.model_copy(update={"breaker_failures": 2})) as bank:
        for _ in range(4):
            with pytest.raises(BankRefusal):
                await bank.accounts("cus-nobody")
        assert bank.breaker is BreakerState.CLOSED


# ---- what is logged


async def test_no_id_digit_or_name_is_logged_at_any_level(
    sandbox: Served, settings: BankSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-the-banks")
    caplog.set_level(logging.DEBUG)
    for library in ("httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.DEBUG)
    async with RestBank(settings.model_copy(update={"token": token})) as bank:
        await bank.check_pin("10012345", b"4711")
        for ask in READS.values():
            await ask(bank)
        await bank.execute(EMMA, (await bank.quote(EMMA, TO_MARIA)).quote_id, KEY)
        for mode in NO_ANSWER:
            if mode in ("hanging", "dripping"):
                continue
            sandbox.fault(mode)
            for ask in (READS["accounts"], lambda bank: bank.check_pin("10012345", b"4711")):
                with pytest.raises(BankUnavailable):
                    await ask(bank)
    logged = [record for record in caplog.records if record.name.startswith(("tellerline", "http"))]
    assert any("accounts: status 503" in record.getMessage() for record in logged)
    text = "\n".join(record.getMessage() for record in logged)
    for secret in ("10012345", "4711", EMMA, "acc-emma", "card-emma", "Maria", "a-token", KEY, "quote-0"):
        assert secret not in text
