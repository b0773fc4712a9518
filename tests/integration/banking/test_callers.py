"""Who is calling, and what they may ask."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc
import pytest

from tellerline.embedded import Fresh
from tellerline.rpc import banking_pb2 as pb

from .conftest import CURRENT, EMMA, EMMA_PIN, Client, Service, rows

LEVEL = pb.AuthenticationReply


async def test_a_customer_logs_in_and_hears_their_accounts(client: Client) -> None:
    """Number and PIN open what the bank knows of this customer, and nothing before."""
    assert (await client.look("call-1")).level == LEVEL.NOBODY
    assert (await client.ask("Accounts", "call-1")).refusal == pb.NOT_AUTHENTICATED
    await client.log_in("call-1")
    known = await client.look("call-1")
    assert (known.level, known.language, known.locked, known.closed) == (
        LEVEL.AUTHENTICATED,
        "en",
        False,
        False,
    )
    accounts = (await client.ask("Accounts", "call-1")).accounts
    assert [(a.kind, a.ending, a.balance.minor_units) for a in accounts] == [
        ("current", "4821", 234055),
        ("savings", "7733", 815000),
    ]
    entries = (await client.ask("Transactions", "call-1", account_id=CURRENT, count=2)).transactions
    assert [entry.amount.minor_units for entry in entries] == [-2345, -1820]
    assert (await client.ask("Accounts", "call-2")).refusal == pb.NOT_AUTHENTICATED


async def test_everything_a_caller_may_ask_is_answered(client: Client) -> None:
    """Cards, delivery, bills, payees and branches arrive with the bank's words."""
    await client.log_in("call")
    cards = (await client.ask("Cards", "call")).cards
    assert [(card.kind, card.ending, card.state) for card in cards] == [
        ("debit", "9016", "in_delivery"),
        ("debit", "4402", "active"),
    ]
    delivery = await client.ask("CardDelivery", "call", card_id=cards[0].card_id)
    assert delivery.status == "posted" and delivery.posted_on < delivery.expected_on
    assert (await client.ask("CardDelivery", "call", card_id="card-of-nobody")).refusal == pb.NOT_FOUND
    assert [bill.amount.minor_units for bill in (await client.ask("Bills", "call")).bills] == [6420, 3175]
    assert "Maria Lopez" in [payee.name for payee in (await client.ask("Payees", "call")).payees]
    branches = (await client.ask("Branches", "nobody", language="en")).branches
    assert branches and branches[0].hours[0].opens == "09:00"
    await client.ask("Forget", "call")
    assert (await client.ask("Cards", "call")).refusal == pb.NOT_AUTHENTICATED


async def test_a_typed_number_is_enough_to_block_a_card_and_for_nothing_else(client: Client) -> None:
    """The lowest authentication: no digits are told, and nobody's number looks like one without cards."""
    assert await client.type("call", "customer_number", EMMA) == "ACCEPTED"
    assert (await client.look("call")).level == LEVEL.IDENTIFIED
    for operation in ("Accounts", "Bills", "Payees"):
        assert (await client.ask(operation, "call")).refusal == pb.NOT_AUTHENTICATED
    cards = (await client.ask("Cards", "call")).cards
    assert [card.ending for card in cards] == ["", ""]
    blocked = await client.ask("BlockCard", "call", card_id="card-emma-debit")
    assert blocked.blocked
    assert (await client.ask("BlockCard", "call", card_id="card-emma-debit")).blocked
    assert (await client.ask("BlockCard", "call", card_id="card-deniz-credit")).refusal == pb.NOT_FOUND
    assert await client.type("other", "customer_number", b"99999999") == "ACCEPTED"
    nobody = await client.ask("Cards", "other")
    assert (nobody.refusal, len(nobody.cards)) == (pb.REFUSAL_NONE, 0)


async def test_five_failures_lock_customer_and_caller_with_the_same_words(client: Client) -> None:
    """RTS 2018/389 Art. 4(3): five failures, a warning before the last; what was wrong stays unsaid."""
    seen = []
    for attempt in range(5):
        call = f"call-{attempt}"
        await client.type(call, "customer_number", EMMA, caller=f"44770090000{attempt}")
        assert await client.type(call, "pin", b"0000", caller=f"44770090000{attempt}") == "REJECTED"
        known = await client.look(call)
        seen.append((known.level, known.last_attempt, known.locked))
    assert seen == [(LEVEL.IDENTIFIED, n == 3, n == 4) for n in range(5)]
    # The right PIN says no more than a wrong one now, from any telephone.
    await client.type("late", "customer_number", EMMA, caller="447700900999")
    assert await client.type("late", "pin", EMMA_PIN, caller="447700900999") == "REJECTED"
    assert (await client.look("late")).locked


async def test_guesses_at_once_are_five_together(client: Client, bank: Any) -> None:
    """Twenty telephones type a PIN for one customer at the same moment: the bank sees five."""

    async def guess(number: int) -> str:
        call, caller = f"call-{number}", f"caller-{number}"
        await client.type(call, "customer_number", EMMA, caller=caller)
        return await client.type(call, "pin", b"%04d" % number, caller=caller)

    answers = await asyncio.gather(*(guess(number) for number in range(20)))
    assert set(answers) == {"REJECTED"}
    assert [asked["operation"] for asked in bank[0].journal].count("checkPin") == 5


async def test_a_caller_who_tries_many_customers_is_locked(client: Client) -> None:
    """Unknown numbers count like known ones, and an unknown number is rejected like a wrong PIN."""
    for attempt in range(5):
        await client.type("call", "customer_number", b"9000000%d" % attempt)
        assert await client.type("call", "pin", b"1234") == "REJECTED"
    await client.type("call", "customer_number", EMMA)
    assert await client.type("call", "pin", EMMA_PIN) == "REJECTED"
    # Emma herself is not locked.
    await client.type("her own", "customer_number", EMMA, caller="447700900777")
    assert await client.type("her own", "pin", EMMA_PIN, caller="447700900777") == "ACCEPTED"


async def test_a_success_starts_the_count_anew(client: Client) -> None:
    """Consecutive failures count, not those of a lifetime; withheld numbers share no count."""
    for attempt in range(3):
        call = f"call-{attempt}"
        await client.type(call, "customer_number", EMMA, caller="anonymous")
        for _ in range(4):
            assert await client.type(call, "pin", b"0000", caller="anonymous") == "REJECTED"
        assert (await client.look(call)).last_attempt
        assert await client.type(call, "pin", EMMA_PIN, caller="anonymous") == "ACCEPTED"
        assert (await client.look(call)).level == LEVEL.AUTHENTICATED


async def test_idle_time_makes_a_caller_stale(
    client: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said five minutes ago proves nothing now; the PIN alone brings it back."""
    await client.log_in("call")
    identities = service.teller.authentication._identities
    monkeypatch.setattr(identities, "_idle_seconds", 0)
    known = await client.look("call")
    assert (known.level, known.stale, known.language) == (LEVEL.IDENTIFIED, True, "")
    assert (await client.ask("Accounts", "call")).refusal == pb.STALE
    monkeypatch.undo()
    assert await client.type("call", "pin", EMMA_PIN) == "ACCEPTED"
    assert (await client.ask("Accounts", "call")).refusal == pb.REFUSAL_NONE


@pytest.mark.parametrize("operation", ["BlockCard", "Quote", "Execute"])
async def test_nothing_is_changed_before_the_turn_is_over(client: Client, operation: str) -> None:
    """A speculative request may read and no more."""
    await client.log_in("call")
    order = pb.BillOrder(from_account_id=CURRENT, bill_id="bill-emma-water")
    more = {
        "BlockCard": {"card_id": "card-emma-debit"},
        "Quote": {"bill": order},
        "Execute": {"confirmed_by": "keypad"},
    }[operation]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.ask(operation, "call", speculative=True, **more)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert [card.state for card in (await client.ask("Cards", "call", speculative=True)).cards][1] == "active"


@pytest.mark.parametrize(
    ("purpose", "digits"), [("card_digits", b"1234"), ("pin", b"12a4"), ("pin", "１２３４".encode())]
)
async def test_what_is_no_secret_input_is_turned_away(client: Client, purpose: str, digits: bytes) -> None:
    """Only digits, and only for a purpose there is."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.type("call", purpose, digits)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_every_step_is_audited_under_a_pseudonym(
    client: Client, fresh: Fresh, service: Service
) -> None:
    """The chain tells who asked for what, without a number, a name or a digit."""
    await client.type("call", "customer_number", EMMA)
    await client.type("call", "pin", b"8642")
    await client.log_in("call")
    await client.ask("Accounts", "call", speculative=True)
    await service.teller.enquiries._desk._journal._queue.join()
    entries = rows(fresh, "SELECT action, subject, detail, call_id FROM audit.entry ORDER BY position")
    told = {entry["action"]: entry for entry in entries}
    assert Counter(entry["action"] for entry in entries) == {
        "customer_number_typed": 2,
        "pin_refused": 1,
        "pin_accepted": 1,
        "accounts_asked": 1,
    }
    assert '"speculative":true' in told["accounts_asked"]["detail"]
    assert {entry["call_id"] for entry in entries} == {"call"}
    assert told["customer_number_typed"]["subject"] == told["pin_refused"]["subject"]
    assert told["pin_accepted"]["subject"] == told["accounts_asked"]["subject"]
    assert told["pin_accepted"]["subject"].startswith("customer:")
    for entry in entries:
        assert not any(secret in str(entry) for secret in ("10012345", "8642", "4711", "cus-emma", "4477009"))
