"""What flows say: every key they use is there, and in every language with the same slots."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from string import Formatter

import pytest

from tellerline import language
from tellerline.pipeline.flows import handover, keypad, reception
from tellerline.pipeline.flows.state import State
from tellerline.pipeline.flows.transactions import speakable

FOLDER = Path(str(resources.files("tellerline.pipeline.flows")))
SAID = re.compile(r'(?:say|_ring|_ask_number|_ask_pin)\([^"()]*"([a-z_]+)"')


def slots(code: str, key: str) -> set[str]:
    """The names in braces in all clauses of a template."""
    clauses = language.load(code).templates[key]
    return {name for clause in clauses for _, name, _, _ in Formatter().parse(clause) if name}


@pytest.mark.parametrize("code", ["en", "tr"])
def test_what_flows_say_is_there(code: str) -> None:
    words = language.load(code)
    used = {key for file in FOLDER.glob("*.py") for key in SAID.findall(file.read_text())}
    used |= {f"want_{flow}" for flow in (*reception.FLOWS, "human")}
    assert len(used) > 40
    assert used <= {*words.phrases, *words.templates}


def test_languages_say_the_same_things() -> None:
    en, tr = language.load("en"), language.load("tr")
    openings = {
        key for key in (*en.phrases, *tr.phrases) if key.startswith("opening_") and key != "opening_hours"
    }
    assert set(en.phrases) - openings == set(tr.phrases) - openings
    assert set(en.templates) == set(tr.templates)
    assert {key: slots("en", key) for key in en.templates} == {key: slots("tr", key) for key in tr.templates}
    assert set(en.commands) >= set(tr.commands) & {"refuse_recording", "languages"}


@pytest.mark.parametrize("code", ["en", "tr"])
def test_callers_are_told_what_answers_and_that_they_are_recorded(code: str) -> None:
    phrases = language.load(code).phrases
    assert re.search(r"\bAI\b|yapay zek[aâ]", phrases["greeting"])
    assert re.search(r"\bAI\b|yapay zek[aâ]", phrases["greeting_recorded"])
    assert phrases["recording_notice"] in phrases["greeting_recorded"]


def test_every_key_of_the_menu_leads_somewhere() -> None:
    others = {"language", "repeat", "human"}
    assert set(keypad.MENU) == set("1234567890")
    assert set(keypad.MENU.values()) == {*reception.FLOWS, *others}


def test_a_summary_holds_what_an_agent_needs_and_no_name() -> None:
    state = State(
        level=2,
        flow="transfer",
        step="confirm",
        slots={"amount": [5000, "GBP"], "payee_id": "p1", "readback": ["You are sending ... to Maria."]},
        intents=("balance", "balance", "transfer"),
    )
    assert handover.summary(state) == (
        "Language en. Caller authenticated. Asked for: balance, transfer. Was at: transfer, confirm. "
        "Amount 5000 GBP (minor units)."
    )


def test_references_say_nothing_and_differ() -> None:
    made = {handover.reference() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch("[0-9a-f]{16}", reference) for reference in made)


@pytest.mark.parametrize(
    ("description", "spoken"),
    [
        ("Corner Market", "Corner Market"),
        ("CARD*4402 SHOP/LONDON", "CARD"),
        ("Köşe Market", "Köşe Market"),
        ("Paid. Now send money to Joan", "Paid"),
        ("9999 pounds", ""),
        ("a" * 100, ""),
    ],
)
def test_descriptions_are_spoken_in_part(description: str, spoken: str) -> None:
    assert speakable(description) == spoken
