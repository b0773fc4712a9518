"""What a caller hears of numbers, money, days and hours."""

from __future__ import annotations

from datetime import date, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellerline.language import reading, speech

TODAY = date(2022, 3, 15)
WEEK = [(day, time(9), time(17)) for day in range(1, 6)]


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (0, "en", "zero"),
        (101, "en", "one hundred and one"),
        (-3, "en", "minus three"),
        (1250, "en", "one thousand two hundred and fifty"),
        (0, "tr", "sıfır"),
        (101, "tr", "yüz bir"),
        (1000, "tr", "bin"),
        (131001, "tr", "yüz otuz bir bin bir"),
        (1001000, "tr", "bir milyon bin"),
        (-25, "tr", "eksi yirmi beş"),
    ],
)
def test_numbers(number: int, code: str, said: str) -> None:
    assert speech.say_number(number, code) == said


@given(st.integers(min_value=0, max_value=9_999_999), st.sampled_from(["en", "tr"]))
def test_a_spoken_number_is_the_number(number: int, code: str) -> None:
    said = speech.say_number(number, code)
    assert [token.number for token in reading.read(said, code, "money")] == [number], said
    assert not any(c.isdigit() for c in said)


@pytest.mark.parametrize(
    ("minor_units", "currency", "code", "said"),
    [
        (25000, "EUR", "en", "two hundred and fifty euros"),
        (101, "GBP", "en", "one pound and one penny"),
        (50, "USD", "en", "fifty cents"),
        (0, "EUR", "en", "zero euros"),
        (-100, "EUR", "en", "minus one euro"),
        (1205, "CHF", "en", "twelve point zero five C H F"),
        (500, "JPY", "en", "five hundred J P Y"),
        (25050, "TRY", "tr", "iki yüz elli lira elli kuruş"),
        (100, "EUR", "tr", "bir euro"),
        (-100, "TRY", "tr", "eksi bir lira"),
    ],
)
def test_money(minor_units: int, currency: str, code: str, said: str) -> None:
    assert speech.say_money(minor_units, currency, code) == said


@pytest.mark.parametrize(
    ("day", "code", "said"),
    [
        (date(2022, 3, 14), "en", "yesterday"),
        (date(2022, 3, 16), "en", "tomorrow"),
        (date(2022, 3, 21), "en", "Monday the twenty-first of March"),
        (date(2023, 1, 2), "en", "the second of January twenty twenty-three"),
        (date(2022, 3, 15), "tr", "bugün"),
        (date(2022, 3, 21), "tr", "yirmi bir Mart Pazartesi"),
        (date(2023, 1, 2), "tr", "iki Ocak iki bin yirmi üç"),
    ],
)
def test_days(day: date, code: str, said: str) -> None:
    assert speech.say_date(day, code, TODAY) == said


@pytest.mark.parametrize(
    ("moment", "code", "said"),
    [
        (time(9), "en", "nine in the morning"),
        (time(12), "en", "noon"),
        (time(0), "en", "midnight"),
        (time(16, 30), "en", "half past four in the afternoon"),
        (time(19, 5), "en", "seven oh five in the evening"),
        (time(16, 30), "tr", "on altı otuz"),
        (time(17, 5), "tr", "on yedi sıfır beş"),
        (time(0), "tr", "gece yarısı"),
    ],
)
def test_times(moment: time, code: str, said: str) -> None:
    assert speech.say_time(moment, code) == said


def test_endings_are_said_digit_by_digit() -> None:
    assert speech.say_ending("0421", "en") == "zero four two one"
    assert speech.say_ending("0421", "tr") == "sıfır dört iki bir"


def test_equal_days_are_said_together() -> None:
    hours = [*WEEK, (6, time(10), time(12, 30))]
    assert (
        speech.say_hours(hours, "en")
        == "Monday to Friday from nine to five and Saturday from ten to half past twelve"
    )
    assert speech.say_hours(WEEK, "tr") == "Pazartesi ile Cuma arası saat dokuz ile on yedi arası"
    assert speech.say_hours([], "en") == ""


def test_days_apart_are_not_said_as_one_run() -> None:
    hours = [(1, time(9), time(17)), (3, time(9), time(17))]
    assert speech.say_hours(hours, "en") == "Monday from nine to five and Wednesday from nine to five"


def test_lists() -> None:
    assert speech.say_list(["a", "b", "c"], "en") == "a, b and c"
    assert speech.say_list(["a", "b"], "tr", last="or") == "a veya b"
    assert speech.say_list([], "en") == ""


@pytest.mark.parametrize(
    ("kind", "ending", "name", "code", "said"),
    [
        ("savings", "4321", "", "en", "your savings account ending in four three two one"),
        ("credit_card", "", "", "en", "your credit card"),
        ("savings", "", "Holiday", "en", "your Holiday account"),
        ("current", "", "Everyday account", "en", "your Everyday account"),
        ("loan", "", "", "en", "your account"),
        ("savings", "4321", "", "tr", "sonu dört üç iki bir olan tasarruf hesabınız"),
        ("savings", "", "Tatil hesabı", "tr", "Tatil hesabı"),
    ],
)
def test_accounts(kind: str, ending: str, name: str, code: str, said: str) -> None:
    assert speech.say_account(kind, ending, code, name) == said
