"""The sandbox bank's books, without HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellerline.sandbox_bank import branches, seed
from tellerline.sandbox_bank.behaviour import Behaviour, Fault
from tellerline.sandbox_bank.holder import Json, Refused
from tellerline.sandbox_bank.ledger import Ledger

EMMA = "cus-emma-clark"
DENIZ = "cus-deniz-arslan"
SEEDS = seed.load()


class Clock:
    """A clock that tests put forward."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def books(clock: Clock) -> Ledger:
    return Ledger(SEEDS, clock)


def transfer(amount: int, source: str = "acc-emma-current", **target: str) -> Json:
    target = target or {"payee_id": "payee-emma-maria"}
    money = {"minor_units": amount, "currency": "GBP"}
    return {"kind": "transfer", "from_account_id": source, "amount": money, **target}


def balances(books: Ledger, customer: str) -> dict[str, int]:
    accounts = books.accounts(customer)["accounts"]
    return {account["account_id"]: account["balance"]["minor_units"] for account in accounts}


def order(books: Ledger, wanted: Json, key: str, customer: str = EMMA) -> Json:
    whose = books.holder(customer)
    quote = books.orders.quote(whose, wanted)
    return books.orders.execute(whose, quote["quote_id"], key)


def test_seeded_numbers_and_ids_are_unique() -> None:
    customers = SEEDS.customers
    for ids in (
        [c.customer_number for c in customers],
        [c.customer_id for c in customers],
        [a.account_id for c in customers for a in c.accounts],
        [card.card_id for c in customers for card in c.cards],
        [p.payee_id for c in customers for p in c.payees],
    ):
        assert len(ids) == len(set(ids))


def test_dates_are_seeded_from_today(books: Ledger, clock: Clock) -> None:
    def posted() -> str:
        return str(books.card_delivery(EMMA, "card-emma-new")["posted_on"])

    assert posted() == "2026-02-26"
    clock.now += timedelta(days=10)
    assert posted() == "2026-03-08"
    assert books.transactions(EMMA, "acc-emma-current", 1)["transactions"][0]["booked_on"] == "2026-03-10"


def test_money_between_own_accounts_stays_the_customers(books: Ledger) -> None:
    before = balances(books, EMMA)
    order(books, transfer(2500, to_account_id="acc-emma-savings"), "k1")
    after = balances(books, EMMA)
    assert after["acc-emma-current"] == before["acc-emma-current"] - 2500
    assert after["acc-emma-savings"] == before["acc-emma-savings"] + 2500
    newest = books.transactions(EMMA, "acc-emma-savings", 1)["transactions"][0]
    assert (newest["description"], newest["amount"]["minor_units"]) == ("Current account", 2500)


def test_a_fee_is_quoted_and_taken(books: Ledger) -> None:
    whose = books.holder(DENIZ)
    wanted = transfer(10_000, "acc-deniz-current", payee_id="payee-deniz-ayse")
    wanted["amount"]["currency"] = "TRY"
    quote = books.orders.quote(whose, wanted)
    assert (quote["payee"], quote["fee"]) == ("Ayşe Yılmaz", {"minor_units": 320, "currency": "TRY"})
    before = balances(books, DENIZ)["acc-deniz-current"]
    books.orders.execute(whose, quote["quote_id"], "k1")
    assert balances(books, DENIZ)["acc-deniz-current"] == before - 10_320


def test_the_name_read_back_is_the_banks(books: Ledger) -> None:
    quote = books.orders.quote(books.holder(EMMA), transfer(100, payee_id="payee-emma-energy"))
    assert quote["payee"] == "Green Energy Limited"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40_000)), max_size=12))
def test_no_money_appears_or_moves_twice(orders: list[tuple[int, int]]) -> None:
    books = Ledger(SEEDS, Clock())
    before = balances(books, EMMA)["acc-emma-current"]
    whose = books.holder(EMMA)
    sent = 0
    for number, (repeats, amount) in enumerate(orders):
        try:
            quote = books.orders.quote(whose, transfer(amount))
        except Refused as refused:
            assert refused.code == "insufficient_funds"
            continue
        answers = [
            books.orders.execute(whose, quote["quote_id"], f"key-{number}") for _ in range(repeats + 1)
        ]
        assert all(answer == answers[0] for answer in answers)
        sent += amount if answers[0]["state"] == "executed" else 0
    assert balances(books, EMMA)["acc-emma-current"] == before - sent
    assert sum(done["amount"] for done in books.moved() if done["state"] == "executed") == sent


def test_funds_are_checked_when_the_order_is_executed(books: Ledger) -> None:
    whose = books.holder(EMMA)
    quotes = [books.orders.quote(whose, transfer(200_000))["quote_id"] for _ in range(2)]
    done = [books.orders.execute(whose, quote, f"k{n}") for n, quote in enumerate(quotes)]
    assert done[0]["state"] == "executed"
    assert done[1] == {"state": "refused", "reason": "insufficient_funds"}


def test_a_quote_of_somebody_else_is_not_executed(books: Ledger) -> None:
    quote = books.orders.quote(books.holder(EMMA), transfer(100))["quote_id"]
    refused = books.orders.execute(books.holder(DENIZ), quote, "k1")
    assert refused == {"state": "refused", "reason": "not_found"}


def test_a_card_is_blocked_and_replaced_once(books: Ledger) -> None:
    first, second = [books.block_card(EMMA, "card-emma-debit") for _ in range(2)]
    assert first == second == {"blocked": True, "replacement_ordered": True}
    states = {card["card_id"]: card["state"] for card in books.cards(EMMA)["cards"]}
    assert states == {"card-emma-new": "in_delivery", "card-emma-debit": "blocked"}
    assert not books.block_card("cus-tom-baker", "card-tom-old")["replacement_ordered"]


def test_reset_puts_everything_back(books: Ledger) -> None:
    seeded = balances(books, EMMA)
    order(books, transfer(100), "k1")
    books.block_card(EMMA, "card-emma-debit")
    books.reset()
    assert balances(books, EMMA) == seeded
    assert books.moved() == []
    assert books.cards(EMMA)["cards"][1]["state"] == "active"


@pytest.mark.parametrize(
    ("place", "language", "names"),
    [
        ("", "", ["High Street"]),
        ("", "tr", ["Beyoğlu Şubesi"]),
        ("bristol", "en", ["Riverside"]),
        ("KADIKOY", "tr", ["Kadıköy Şubesi"]),
        ("Kadıköy İstanbul", "tr", ["Kadıköy Şubesi", "Beyoğlu Şubesi"]),
        ("Atlantis", "en", []),
    ],
)
def test_the_branch_that_was_meant(place: str, language: str, names: list[str]) -> None:
    found = branches.find(SEEDS.branches, place, language)["branches"]
    assert [branch["name"] for branch in found] == names


def test_a_fault_applies_to_its_operations_as_often_as_asked() -> None:
    behaviour = Behaviour()
    behaviour.switch((Fault(mode="failing", operations=("execute",), times=2), Fault(mode="slow")))
    met = [behaviour.of(name) for name in ("accounts", "execute", "execute", "execute")]
    assert [fault.mode for fault in met if fault] == ["slow", "failing", "failing", "slow"]
