"""Times of day as callers say them, at 09:01."""

from __future__ import annotations

from datetime import datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellerline.language.speech import say_time
from tellerline.language.times import parse_time

NOW = datetime(2022, 3, 15, 9, 1)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("half past nine", "09:30"),
        ("half three", "03:30"),
        ("quarter to five in the afternoon", "16:45"),
        ("twenty-five to six", "05:35"),
        ("25 past 17 afternoon", "17:25"),
        ("25 to 7 p.m.", "18:35"),
        ("nine oh five", "09:05"),
        ("9 05 in the morning", "09:05"),
        ("nine thirty pm", "21:30"),
        ("5.30 p.m.", "17:30"),
        ("8pm", "20:00"),
        ("10 05 night", "22:05"),
        ("3 night", "03:00"),
        ("12:30 a.m.", "00:30"),
        ("0 45 p.m.", "12:45"),
        ("12 at night", "00:00"),
        ("noon", "12:00"),
        ("is it open at nine", "09:00"),
        ("call me after 10", "10:00"),
        ("in 8 hours", "17:00"),
        ("in an hour and a half", "10:30"),
        ("15 minutes ago", "08:45"),
        ("in 8 minutes", "09:09"),
        ("now", "09:01"),
    ],
)
def test_english(text: str, moment: str) -> None:
    assert parse_time(text, "en", NOW) == time.fromisoformat(moment)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("saat üçte", "03:00"),
        ("üç buçukta", "03:30"),
        ("üçe beş var", "02:55"),
        ("yirmiye beş var", "19:55"),
        ("ona yirmi var", "09:40"),
        ("dördü on geçiyor", "04:10"),
        ("beşi çeyrek geçe", "05:15"),
        ("yediye çeyrek var", "06:45"),
        ("akşam sekizde", "20:00"),
        ("akşam saat yedi buçuk", "19:30"),
        ("öğleden sonra üç", "15:00"),
        ("sabah dokuz buçukta", "09:30"),
        ("gece on birde", "23:00"),
        ("gece yarısı", "00:00"),
        ("14:30'da", "14:30"),
        ("saat on dört otuz", "14:30"),
        ("iki saat sonra", "11:00"),
    ],
)
def test_turkish(text: str, moment: str) -> None:
    assert parse_time(text, "tr", NOW) == time.fromisoformat(moment)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("transfer 200 to Anna", "en"),
        ("my two cards", "en"),
        ("25:70", "en"),
        ("onu istiyorum", "tr"),
        ("", "en"),
    ],
)
def test_what_names_no_time_is_none(text: str, code: str) -> None:
    assert parse_time(text, code, NOW) is None


@given(st.times(), st.sampled_from(["en", "tr"]))
def test_what_is_spoken_is_understood(moment: time, code: str) -> None:
    moment = moment.replace(second=0, microsecond=0)
    said = say_time(moment, code)
    assert parse_time(said, code, NOW) == moment, said


@given(st.text(max_size=80), st.sampled_from(["en", "tr"]))
def test_no_text_is_too_odd(text: str, code: str) -> None:
    parse_time(text, code, NOW)
