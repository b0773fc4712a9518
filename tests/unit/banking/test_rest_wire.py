"""What is read of the bank's JSON, and what is written."""

from __future__ import annotations

import json

import pytest

from tellerline.banking import model, wire

ACCOUNT = {
    "account_id": "acc-1",
    "kind": "current",
    "name": "",
    "ending": "4821",
    "balance": {"minor_units": -5, "currency": "GBP"},
    "available": {"minor_units": 100, "currency": "GBP"},
}


def account(**changed: object) -> bytes:
    return json.dumps({"accounts": [ACCOUNT | changed]}).encode()


def test_an_account_is_read_and_unknown_fields_are_ignored() -> None:
    read = wire.read(wire.Accounts, account(iban="GB00"))
    assert read.accounts[0].balance == model.Money(-5, "GBP")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "loan"),
        ("ending", "48215"),
        ("ending", "48²1"),
        ("ending", 4821),
        ("name", None),
        ("balance", {"minor_units": 1.0, "currency": "GBP"}),
        ("balance", {"minor_units": "100", "currency": "GBP"}),
        ("balance", {"minor_units": True, "currency": "GBP"}),
        ("balance", {"minor_units": 100, "currency": "pounds"}),
        ("balance", 100),
    ],
)
def test_what_is_not_of_the_contract_is_no_account(field: str, value: object) -> None:
    with pytest.raises(wire.Garbled, match=r"accounts\.0"):
        wire.read(wire.Accounts, account(**{field: value}))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"accounts": [', b"<html>", b"\xff"])
def test_what_is_no_json_object_is_garbled(body: bytes) -> None:
    with pytest.raises(wire.Garbled):
        wire.read(wire.Accounts, body)


def test_a_garbled_answer_is_told_of_without_what_it_holds() -> None:
    with pytest.raises(wire.Garbled) as garbled:
        wire.read(wire.Accounts, account(ending="GB29 NWBK 6016"))
    assert "NWBK" not in str(garbled.value)


@pytest.mark.parametrize("body", ['{"outcome": "verified"}', '{"outcome": "verified", "customer": null}'])
def test_a_pin_is_verified_for_a_customer_or_not_at_all(body: str) -> None:
    with pytest.raises(wire.Garbled):
        wire.read(model.PinCheck, body.encode())


def test_a_refused_pin_names_nobody() -> None:
    body = b'{"outcome": "refused", "customer": {"customer_id": "c", "language": "en"}}'
    with pytest.raises(wire.Garbled):
        wire.read(model.PinCheck, body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"state": "refused", "reason": "insufficient_funds"}', model.RefusalReason.INSUFFICIENT_FUNDS),
        ('{"state": "refused", "reason": "sanctions"}', model.RefusalReason.REFUSED),
        ('{"state": "refused"}', model.RefusalReason.REFUSED),
        ('{"state": "refused", "reason": null}', model.RefusalReason.REFUSED),
        ('{"state": "executed", "reference": "R1"}', None),
    ],
)
def test_a_refusal_has_a_reason_of_ours(body: str, reason: model.RefusalReason | None) -> None:
    assert wire.read(model.Execution, body.encode()).reason == reason


def test_an_execution_in_an_unknown_state_is_garbled_and_never_executed() -> None:
    with pytest.raises(wire.Garbled):
        wire.read(model.Execution, b'{"state": "accepted"}')


def test_a_quote_needs_a_time_zone() -> None:
    quote = {
        "quote_id": "q",
        "payee": "Maria Lopez",
        "payee_ending": "5512",
        "from_kind": "current",
        "from_ending": "4821",
        "amount": {"minor_units": 1, "currency": "GBP"},
        "fee": {"minor_units": 0, "currency": "GBP"},
    }
    read = wire.read(model.Quote, json.dumps(quote | {"valid_until": "2026-01-01T10:00:00Z"}).encode())
    assert read.valid_until.tzinfo is not None
    with pytest.raises(wire.Garbled):
        wire.read(model.Quote, json.dumps(quote | {"valid_until": "2026-01-01T10:00:00"}).encode())


@pytest.mark.parametrize(
    ("order", "json_order"),
    [
        (
            model.TransferOrder("acc-1", model.Money(500, "GBP"), payee_id="p-1"),
            {
                "kind": "transfer",
                "from_account_id": "acc-1",
                "amount": {"minor_units": 500, "currency": "GBP"},
                "payee_id": "p-1",
            },
        ),
        (
            model.BillOrder("acc-1", "b-1"),
            {"kind": "bill", "from_account_id": "acc-1", "bill_id": "b-1"},
        ),
    ],
)
def test_an_order_is_written_as_the_contract_has_it(order: model.Order, json_order: object) -> None:
    assert wire.order(order) == json_order


@pytest.mark.parametrize("targets", [{}, {"payee_id": "p", "to_account_id": "a"}])
def test_a_transfer_goes_to_one_place(targets: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        model.TransferOrder("acc-1", model.Money(1, "GBP"), **targets)


@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"code": "not_found"}', "not_found"), (b'{"code": 7}', ""), (b"[]", ""), (b"<html>", ""), (b"", "")],
)
def test_the_code_of_a_problem(body: bytes, code: str) -> None:
    assert wire.problem(body) == code


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Corner Market", "Corner Market"),
        ("Köşe\tMarket\n\n  Kadıköy ", "Köşe Market Kadıköy"),
        ("safe\u202etxt\x00\u2028end", "safe txt end"),
        ("x" * 200, "x" * 140),
        ("", ""),
    ],
)
def test_what_strangers_write_is_one_plain_line(written: str, read: str) -> None:
    entry = {
        "booked_on": "2026-01-01",
        "description": written,
        "amount": {"minor_units": -1, "currency": "GBP"},
    }
    answer = wire.read(wire.Transactions, json.dumps({"transactions": [entry]}).encode())
    assert answer.transactions[0].description == read
