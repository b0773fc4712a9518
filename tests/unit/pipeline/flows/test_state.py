"""A conversation's state: what it survives, and what it never holds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tellerline.pipeline.flows.state import REMEMBERED_INTENTS, Goal, State

FULL = State(
    language="tr",
    flow="authentication",
    step="pin",
    slots={"level": 2, "empty": 0},
    goal=Goal("transfer", "send fifty", {"amount": [5000, "GBP"], "payee_id": "p1"}),
    level=1,
    said=("One.", "Two?"),
    question=("Two?",),
    recording="on",
    intents=("balance", "transfer"),
    dark_id=3,
    dark_purpose="pin",
    dark_ids=3,
)


@pytest.mark.parametrize("state", [State(), FULL])
def test_a_state_comes_back_from_its_json_as_it_was(state: State) -> None:
    assert State.from_json(state.to_json()) == replace(state, said=())


def test_what_was_said_of_an_account_is_not_kept() -> None:
    state = replace(FULL, said=("It holds ten pounds.",)).with_slots(readback=["You are sending ten pounds."])
    assert "ten pounds" not in state.to_json()


SPOKEN = "it is four nine two nine one two three four five six seven eight nine zero one two"


def test_a_callers_words_are_kept_without_their_numbers() -> None:
    goal = Goal("lost_card", f"I lost my card, {SPOKEN}", {"text": "4929123456789012", "card_id": "492912"})
    state = State(flow="clarify", slots={"intent": "transfer", "text": f"Send fifty pounds, {SPOKEN}"})
    kept = State.from_json(replace(state, goal=goal).to_json())
    assert kept.slots["text"] == "Send fifty pounds, it is [card]"
    assert kept.goal == Goal(
        "lost_card", "I lost my card, it is [card]", {"text": "[card]", "card_id": "492912"}
    )


def test_an_amount_half_typed_is_not_kept() -> None:
    state = State(flow="transfer", step="amount", slots={"payee_id": "p1", "typed": "471"})
    assert State.from_json(state.to_json()).slots == {"payee_id": "p1"}


def test_another_releases_fields_are_passed_over() -> None:
    data = json.loads(FULL.to_json()) | {"mood": "sunny"}
    assert State.from_json(json.dumps(data)) == replace(FULL, said=())
    assert State.from_json('{"language": "tr"}') == State(language="tr")


@pytest.mark.parametrize("text", ["[]", "1", "no json"])
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        State.from_json(text)


def test_moving_on_forgets_slots_and_failures_and_keeps_who_is_calling() -> None:
    moved = FULL.at("balance", "told", told=["a"])
    assert (moved.flow, moved.step, moved.slots, moved.failures) == ("balance", "told", {"told": ["a"]}, 0)
    assert (moved.level, moved.language, moved.goal) == (1, "tr", FULL.goal)
    assert moved.open().goal is None


def test_intents_are_remembered_for_a_while() -> None:
    state = State()
    for number in range(50):
        state = state.wants(str(number))
    assert len(state.intents) == REMEMBERED_INTENTS
    assert state.intents[-1] == "49"
