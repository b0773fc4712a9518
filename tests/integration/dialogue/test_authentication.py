"""Who is calling: failures in the same words, a warning before the last, a person for whoever is locked."""

from __future__ import annotations

import pytest

from tellerline import language
from tellerline.pipeline.flows.events import Typed
from tellerline.pipeline.flows.plan import Dark, HandOver, Menu
from tellerline.pipeline.flows.state import State

from .conftest import EMMA, EMMA_PIN, Dial

PHRASES = language.load("en").phrases


async def test_failures_sound_alike_until_the_line_is_locked(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    await talk.says("What is my balance?")
    answers = []
    for number in (EMMA, "99999999", EMMA, EMMA, EMMA):
        await talk.types(number)
        answers.append(await talk.types("0000"))
        if talk.did(HandOver):
            break
    assert answers[0] == answers[1] == PHRASES["not_matched"]
    assert answers[-2] == PHRASES["not_matched_last"]
    assert answers[-1] == f"{PHRASES['locked']} {PHRASES['transferring']}"


async def test_after_a_failure_the_right_digits_do(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    await talk.says("What is my balance?")
    await talk.types(EMMA)
    assert await talk.types("0000") == PHRASES["not_matched"]
    await talk.types(EMMA)
    assert "two thousand three hundred" in await talk.types(EMMA_PIN)


async def test_without_a_keypad_there_is_a_person_and_no_prompt(dial: Dial) -> None:
    talk = dial(keypad=False)
    await talk.begins()
    answer = await talk.says("What is my balance?")
    assert answer == f"{PHRASES['no_keypad']} {PHRASES['transferring']}"
    assert talk.did(Dark) == []
    assert len(talk.did(HandOver)) == 1


async def test_dark_input_is_declared_before_its_prompt_and_a_menu_after_it(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    assert [type(action) for action in talk.plans[-1].before] == [Menu]
    await talk.says("What is my balance?")
    assert [type(action) for action in talk.plans[-1].before] == [Dark]
    await talk.types(EMMA)
    assert [type(action) for action in talk.plans[-1].before] == [Dark]
    await talk.types(EMMA_PIN)
    assert [type(action) for action in talk.plans[-1].before] == [Menu]


async def test_an_answer_to_an_older_question_is_nothing(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    await talk.says("What is my balance?")
    await talk.types(EMMA)
    assert await talk.happens(Typed(1, "accepted")) == ""
    assert talk.teller.state.step == "pin"
    assert talk.teller.state.level == 1


async def test_nothing_typed_is_asked_again_and_then_for_a_person(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    await talk.says("What is my balance?")
    assert await talk.happens(Typed(talk.dark.dark_id, "timed_out")) == PHRASES["nothing_typed"]
    assert await talk.happens(Typed(talk.dark.dark_id, "timed_out")) == PHRASES["transferring"]


@pytest.mark.parametrize("step", ["customer_number", "pin"])
async def test_who_does_not_want_to_type_gets_a_person(dial: Dial, step: str) -> None:
    talk = dial()
    await talk.begins()
    asked = await talk.says("What is my balance?")
    assert "For a colleague, press hash alone." in asked
    if step == "pin":
        await talk.types(EMMA)
    assert talk.teller.state.step == step
    # As a connector tells a hash with nothing typed, or two stars.
    assert await talk.happens(Typed(talk.dark.dark_id, "cancelled")) == PHRASES["transferring"]
    [handed] = talk.did(HandOver)
    assert f"Was at: authentication, {step}." in handed.summary


async def test_banking_decides_and_not_what_the_conversation_believes(dial: Dial) -> None:
    talk = dial(state=State(level=2))
    await talk.begins()
    asked = await talk.says("What is my balance?")
    assert PHRASES["ask_customer_number"] in asked
    assert "pounds" not in asked
    await talk.types(EMMA)
    assert "two thousand three hundred" in await talk.types(EMMA_PIN)


async def test_what_was_wanted_survives_a_second_proof(dial: Dial) -> None:
    talk = dial(state=State(level=2, flow="transfer", step="amount", slots={"payee_id": "payee-emma-maria"}))
    asked = await talk.says("Fifty pounds.")
    assert PHRASES["ask_customer_number"] in asked
    await talk.types(EMMA)
    assert "fifty pounds to Maria Lopez" in await talk.types(EMMA_PIN)
