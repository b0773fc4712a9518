"""Payees whose names sound the same: asked about and read back by the ending of their account."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tellerline import language

from .conftest import TOM, TOM_PIN, Dial
from .talk import Talk

PHRASES = language.load("en").phrases
# Tom may pay John Smith (2087), Jon Smyth (7740) and Joan Smith (3359).
_JOHN, _JON = "John Smith ending in two zero eight seven", "Jon Smyth ending in seven seven four zero"


async def known(talk: Talk) -> Talk:
    await talk.begins()
    await talk.says("What is my balance?")
    await talk.logs_in(TOM, TOM_PIN)
    return talk


async def test_the_question_tells_them_apart_by_their_accounts(dial: Dial) -> None:
    talk = await known(dial())
    asked = await talk.says("Send five pounds to John Smith.")
    assert _JOHN in asked and _JON in asked
    assert "quote" not in talk.tools()


@pytest.mark.parametrize(
    ("answer", "name", "ending"),
    [
        ("The one ending in seven seven four zero.", "Jon Smyth", "seven seven four zero"),
        ("Ending 2087.", "John Smith", "two zero eight seven"),
    ],
)
async def test_the_ending_chooses_and_is_read_back(dial: Dial, answer: str, name: str, ending: str) -> None:
    talk = await known(dial())
    await talk.says("Send five pounds to John Smith.")
    readback = await talk.says(answer)
    assert f"You are sending five pounds to {name}, ending {ending}, from" in readback
    assert readback.endswith(PHRASES["confirm_question"])
    assert talk.tools().count("quote") == 1 and "execute" not in talk.tools()


async def test_a_key_counts_in_the_order_that_was_read_out(dial: Dial) -> None:
    talk = await known(dial())
    await talk.says("Send five pounds to John Smith.")
    offered = ["payee-tom-jon", "payee-tom-joan"]
    talk.teller.state = replace(talk.teller.state.with_slots(offered=offered), keypad=True)
    assert "to Jon Smyth, ending seven seven four zero" in await talk.presses("1")


async def test_on_the_keypad_each_is_offered_with_its_account(dial: Dial) -> None:
    talk = await known(dial())
    asked = await talk.presses("7")
    assert f"For {_JOHN}, press one. For {_JON}, press two. For Joan Smith, press three." in asked


async def test_names_that_differ_go_without(dial: Dial) -> None:
    talk = await known(dial())
    assert "Joan Smith, ending three three five nine" in await talk.says("Send five pounds to Joan.")
