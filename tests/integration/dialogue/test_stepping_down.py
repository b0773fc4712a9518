"""One stage of the engine taken away at a time: a caller is never left in silence, and reaches a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline.conftest import Say, running, say  # noqa: F401
from pipeline.connector_line import Line

from tellerline import language
from tellerline.sandbox_bank.behaviour import Fault
from tellerline.settings import ServiceAddresses

from .conftest import EMMA, EMMA_PIN, Bank
from .engine_without import EngineWithout, standing
from .talk import call_id
from .test_by_voice import PERSON, played, types

PHRASES = language.load("en").phrases
QUESTION = "Can you tell me what a standing order is?"

# An engine and a pipeline with all its phrases are started first.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def behind_door(
    engine_socket: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[EngineWithout, Path]]:
    """The door to the engine, and the socket of a pipeline that knows no other way."""
    banking = ServiceAddresses(addresses=(f"unix:{folder}/banking.sock",))
    with (
        standing(folder / "door.sock", engine_socket) as door,
        running(
            tmp_path_factory.mktemp("door"), folder / "door.sock", banking=banking, transfer_target=PERSON
        ) as daemon,
    ):
        yield door, daemon.socket


@pytest.fixture
def door(behind_door: tuple[EngineWithout, Path]) -> Iterator[EngineWithout]:
    """The whole engine is there before and after each test."""
    behind_door[0].refuse()
    yield behind_door[0]
    behind_door[0].refuse()


@pytest.fixture
def socket(behind_door: tuple[EngineWithout, Path]) -> Path:
    return behind_door[1]


async def tells(line: Line, text: str) -> None:
    """Waits until the caller has heard `text`, in an answer of its own."""
    await line.until(lambda: any(text in spoke.played for spoke in line.spoken()), 30)


async def test_without_the_router_the_language_model_chooses(
    door: EngineWithout,
    socket: Path,
    bank: Bank,
    say: Say,  # noqa: F811
) -> None:
    asked, yes = say("I lost my credit card."), say("Yes.")
    async with Line(socket, call_id()) as line:
        assert await line.bot_finishes() == PHRASES["greeting"]
        door.refuse("Router")
        line.say(asked)
        await tells(line, "Do you want")
        assert "Router" in door.turned_away
        line.say(yes)
        await line.until(lambda: bool(line.sent("dark_input")), 30)


async def test_without_the_language_model_the_keypad_takes_over(
    door: EngineWithout,
    socket: Path,
    bank: Bank,
    say: Say,  # noqa: F811
) -> None:
    question, called = say(QUESTION), call_id()
    async with Line(socket, called) as line:
        await line.bot_finishes()
        door.refuse("LanguageModel")
        line.say(question)
        assert await line.bot_finishes() == PHRASES["apology"]
        line.say(question)
        assert await line.bot_finishes() == f"{PHRASES['apology']} {PHRASES['menu']}"
        assert "LanguageModel" in door.turned_away
        line.press("4")
        await line.until(lambda: bool(line.sent("dark_input")))
        await types(line, bank, called, EMMA)
        await types(line, bank, called, EMMA_PIN)
        await tells(line, "two thousand three hundred")


async def test_without_a_voice_the_keypad_and_then_a_person_take_over(
    door: EngineWithout,
    socket: Path,
    bank: Bank,
    say: Say,  # noqa: F811
) -> None:
    balance, called = say("What is my balance?"), call_id()
    async with Line(socket, called) as line:
        await line.bot_finishes()
        door.refuse("Synthesis")
        line.say(balance)
        await line.until(lambda: bool(line.sent("dark_input")), 30)
        await types(line, bank, called, EMMA)
        await types(line, bank, called, EMMA_PIN)
        await tells(line, f"{PHRASES['apology']} {PHRASES['menu']}")
        assert "Synthesis" in door.turned_away
        line.press("4")
        await tells(line, PHRASES["transferring"])
        await line.until(lambda: bool(line.sent("transfer")))
        assert line.sent("transfer")[0].transfer.target == PERSON
    # No figure was heard, and nothing of an answer whose voice failed.
    assert "thousand" not in played(line)


async def test_without_anything_a_person_takes_over(
    door: EngineWithout,
    socket: Path,
    say: Say,  # noqa: F811
) -> None:
    question = say(QUESTION)
    async with Line(socket, call_id()) as line:
        await line.bot_finishes()
        door.refuse("Recognition", "Router", "LanguageModel", "Synthesis")
        for answer in ("apology", "menu", "menu", "transferring"):
            line.say(question)
            assert (await line.bot_finishes()).endswith(PHRASES[answer])
        await line.until(lambda: bool(line.sent("transfer")))
        assert line.sent("hang_up") == []


async def test_a_bank_that_takes_its_time_is_waited_for_in_words(
    door: EngineWithout,
    socket: Path,
    bank: Bank,
    say: Say,  # noqa: F811
) -> None:
    called = call_id()
    async with Line(socket, called) as line:
        await line.bot_finishes()
        line.press("4")
        await line.until(lambda: bool(line.sent("dark_input")))
        await types(line, bank, called, EMMA)
        # Longer than a caller is left in silence, shorter than banking waits.
        slow = Fault(mode="slow", operations=("accounts",), delay_ms=900, times=1)
        bank.sandbox.behaviour.switch((slow,))
        await types(line, bank, called, EMMA_PIN)
        await tells(line, "two thousand three hundred")
        before, _, _ = played(line).partition("two thousand three hundred")
        assert PHRASES["one_moment"] in before
