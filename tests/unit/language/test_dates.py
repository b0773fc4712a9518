"""Days as callers say them, on Tuesday, 15 March 2022."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellerline.language.dates import parse_date
from tellerline.language.speech import say_date

TODAY = date(2022, 3, 15)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("today", "2022-03-15"),
        ("this evening", "2022-03-15"),
        ("last night", "2022-03-14"),
        ("the day after tomorrow", "2022-03-17"),
        ("the day before yesterday", "2022-03-13"),
        ("in three days", "2022-03-18"),
        ("a week from Monday", "2022-03-28"),
        ("a fortnight ago", "2022-03-01"),
        ("half a year ago", "2021-09-15"),
        ("3 months ago", "2021-12-15"),
        ("Friday", "2022-03-18"),
        ("Tuesday", "2022-03-22"),
        ("last Tuesday", "2022-03-08"),
        ("next Wednesday", "2022-03-23"),
        ("Saturday last week", "2022-03-12"),
        ("Wednesday in a week", "2022-03-23"),
        ("pay it on the twenty first", "2022-03-21"),
        ("the 3rd", "2022-04-03"),
        ("by the third of next month", "2022-04-03"),
        ("25th this month", "2022-03-25"),
        ("on the 31st", "2022-03-31"),
        ("29 Feb", "2024-02-29"),
        ("21/5", "2022-05-21"),
        ("9/3/2019", "2019-03-09"),
        ("12/25/2024", "2024-12-25"),
        ("July the 20th 1992", "1992-07-20"),
        ("twentieth of October twenty twenty five", "2025-10-20"),
        ("the end of March", "2022-03-31"),
        ("at the end of the month", "2022-03-31"),
        ("next year", "2023-01-01"),
        ("Christmas", "2022-12-25"),
        ("last October", "2021-10-01"),
        ("last Christmas", "2021-12-25"),
        ("this month on the 20th", "2022-03-20"),
        ("not Monday, Thursday", "2022-03-17"),
        ("tomorrow, no, Friday", "2022-03-18"),
    ],
)
def test_english(text: str, day: str) -> None:
    assert parse_date(text, "en", TODAY) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("yarın", "2022-03-16"),
        ("öbür gün", "2022-03-17"),
        ("üç gün sonra", "2022-03-18"),
        ("iki hafta önce", "2022-03-01"),
        ("geçen pazartesi", "2022-03-14"),
        ("önümüzdeki salı", "2022-03-22"),
        ("haftaya çarşamba", "2022-03-23"),
        ("cuma gününe", "2022-03-18"),
        ("cumartesi", "2022-03-19"),
        ("pazar", "2022-03-20"),
        ("ayın on beşinde", "2022-03-15"),
        ("bu ayın 25'i", "2022-03-25"),
        ("gelecek ayın üçü", "2022-04-03"),
        ("yirmi üç nisan", "2022-04-23"),
        ("Mart'ın 20'sinde", "2022-03-20"),
        ("1 Mayıs 2023'te", "2023-05-01"),
        ("5 nisan iki bin yirmi üç", "2023-04-05"),
        ("15.04.2022", "2022-04-15"),
        ("ay sonunda", "2022-03-31"),
        ("pazartesi değil perşembe", "2022-03-17"),
        ("ocak ayında", "2023-01-01"),
        ("SALI", "2022-03-22"),
    ],
)
def test_turkish(text: str, day: str) -> None:
    assert parse_date(text, "tr", TODAY) == date.fromisoformat(day)


def test_the_past_is_meant_where_it_is_preferred() -> None:
    assert parse_date("Friday", "en", TODAY, prefer="past") == date(2022, 3, 11)
    assert parse_date("the 20th", "en", TODAY, prefer="past") == date(2022, 2, 20)
    assert parse_date("October", "en", TODAY, prefer="past") == date(2021, 10, 1)


def test_of_a_span_either_edge_is_meant() -> None:
    assert parse_date("in May", "en", TODAY, edge="end") == date(2022, 5, 31)
    assert parse_date("last week", "en", TODAY) == date(2022, 3, 7)
    assert parse_date("last week", "en", TODAY, edge="end") == date(2022, 3, 13)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("may I have my balance", "en"),
        ("my second card", "en"),
        ("one moment", "en"),
        ("some days ago", "en"),
        ("31 February 2022", "en"),
        ("2026-02-30", "en"),
        ("I sat down", "en"),
        ("altın hesabım", "tr"),
        ("bir dakika", "tr"),
        ("", "tr"),
    ],
)
def test_what_names_no_day_is_none(text: str, code: str) -> None:
    assert parse_date(text, code, TODAY) is None


@given(st.dates(TODAY - timedelta(days=70), TODAY + timedelta(days=290)), st.sampled_from(["en", "tr"]))
def test_what_is_spoken_is_understood(day: date, code: str) -> None:
    said = say_date(day, code, TODAY)
    prefer = "past" if day < TODAY else "future"
    assert parse_date(said, code, TODAY, prefer=prefer) == day, said


@given(st.text(max_size=80), st.sampled_from(["en", "tr"]))
def test_no_text_is_too_odd(text: str, code: str) -> None:
    parse_date(text, code, TODAY)
