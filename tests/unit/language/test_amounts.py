"""Amounts as callers say them and recognisers write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellerline.language.amounts import Money, parse_amount
from tellerline.language.speech import say_money


@pytest.mark.parametrize(
    ("text", "minor_units", "currency"),
    [
        ("Transfer two hundred euros to Anna on the fifth", 20000, "EUR"),
        ("$1,250.50", 125050, "USD"),
        ("send GBP 20 to Bob", 2000, "GBP"),
        ("2 000 pounds", 200000, "GBP"),
        ("five pounds fifty", 550, "GBP"),
        ("five euros and twenty cents", 520, "EUR"),
        ("3 pounds and 20p", 320, "GBP"),
        ("99 cents", 99, "EUR"),
        ("50p", 50, "GBP"),
        ("two fifty", 25000, "EUR"),
        ("one twenty five pounds", 12500, "GBP"),
        ("twelve hundred", 120000, "EUR"),
        ("two and a half thousand", 250000, "EUR"),
        ("half a million", 50000000, "EUR"),
        ("1.5k euros", 150000, "EUR"),
        ("two grand", 200000, "EUR"),
        ("a hundred bucks", 10000, "USD"),
        ("twelve point five", 1250, "EUR"),
        ("1,5 euros", 150, "EUR"),
        ("£200.00", 20000, "GBP"),
        ("make a 200 payment", 20000, "EUR"),
        ("send 200 from the account ending in 4321", 20000, "EUR"),
        ("three hundred to Anna", 30000, "EUR"),
        ("pay 40 euros tomorrow at 10 to 21", 4000, "EUR"),
        ("one", 100, "EUR"),
    ],
)
def test_english(text: str, minor_units: int, currency: str) -> None:
    assert parse_amount(text, "en", "EUR") == Money(minor_units, currency)


@pytest.mark.parametrize(
    ("text", "minor_units", "currency"),
    [
        ("Ayşe'ye iki yüz lira gönder", 20000, "TRY"),
        ("250 TL'yi", 25000, "TRY"),
        ("₺250", 25000, "TRY"),
        ("1.250,50 TL", 125050, "TRY"),
        ("250 lira 50 kuruş", 25050, "TRY"),
        ("yüz elli lira yirmi beş kuruş", 15025, "TRY"),
        ("iki buçuk lira", 250, "TRY"),
        ("bir buçuk bin", 150000, "TRY"),
        ("bin beşyüz liralık", 150000, "TRY"),
        ("ikiyüzelli liradan", 25000, "TRY"),
        ("2 bin 500 TL", 250000, "TRY"),
        ("yarım milyon", 50000000, "TRY"),
        ("yüz avro", 10000, "EUR"),
        ("sonu 4321 ile biten hesaptan 200 gönder", 20000, "TRY"),
        ("yuz elli lira", 15000, "TRY"),
    ],
)
def test_turkish(text: str, minor_units: int, currency: str) -> None:
    assert parse_amount(text, "tr", "TRY") == Money(minor_units, currency)


@pytest.mark.parametrize(
    ("text", "code", "minor_units"),
    [
        ("two hundred, no, three hundred euros", "en", 30000),
        ("no, not 200, 300", "en", 30000),
        ("send 50 euros, I mean 60", "en", 6000),
        ("200 değil 300", "tr", 30000),
        ("iki yüz lira, pardon üç yüz lira", "tr", 30000),
    ],
)
def test_a_correction_counts(text: str, code: str, minor_units: int) -> None:
    parsed = parse_amount(text, code, "EUR")
    assert parsed is not None
    assert parsed.minor_units == minor_units


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("200 of my 500 euros", "en"),
        ("500 liramın 200'ünü", "tr"),
        ("minus fifty", "en"),
        ("10.555 euros", "en"),
        ("1.500 euros", "en"),
        ("1,500 lira", "tr"),
        ("the first one", "en"),
        ("pay 5 bills", "en"),
        ("in three days", "en"),
        ("my account ends in 4321", "en"),
        ("transfer some money", "en"),
        ("onu istemiyorum", "tr"),
        ("altın hesabım", "tr"),
        ("iki gün sonra", "tr"),
        ("", "en"),
    ],
)
def test_what_is_no_amount_or_could_be_either_is_none(text: str, code: str) -> None:
    assert parse_amount(text, code, "EUR") is None


@given(st.integers(min_value=0, max_value=99_999_999), st.sampled_from(["EUR", "GBP", "USD", "TRY"]))
def test_what_is_spoken_in_english_is_understood(minor_units: int, currency: str) -> None:
    said = say_money(minor_units, currency, "en")
    heard = parse_amount(said, "en", currency)
    assert heard == Money(minor_units, currency), said


@given(st.integers(min_value=0, max_value=99_999_999), st.sampled_from(["EUR", "GBP", "USD", "TRY"]))
def test_what_is_spoken_in_turkish_is_understood(minor_units: int, currency: str) -> None:
    said = say_money(minor_units, currency, "tr")
    assert parse_amount(said, "tr", currency) == Money(minor_units, currency), said


@given(st.text(max_size=80), st.sampled_from(["en", "tr"]))
def test_no_text_is_too_odd(text: str, code: str) -> None:
    parse_amount(text, code, "EUR")
