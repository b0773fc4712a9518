"""The customer's own language: offered once, in that language, and taken for a plain yes only."""

from __future__ import annotations

import pytest

from tellerline import language
from tellerline.pipeline.flows.desk import Site
from tellerline.pipeline.flows.events import Resumed
from tellerline.pipeline.flows.plan import HandOver

from .conftest import DENIZ, DENIZ_PIN, EMMA, EMMA_PIN, Dial
from .talk import Talk

EN, TR = language.load("en").phrases, language.load("tr").phrases
_BALANCE_TR = "kırk iki bin yüz elli lira"


async def offered(talk: Talk) -> Talk:
    """Deniz, whose language is Turkish, at the English number."""
    await talk.begins()
    await talk.says("What is my balance?")
    await talk.types(DENIZ)
    assert await talk.types(DENIZ_PIN) == TR["go_on_in_this_language"]
    return talk


@pytest.mark.parametrize("yes", ["evet", "1"])
async def test_a_yes_goes_on_in_it(dial: Dial, yes: str) -> None:
    talk = await offered(dial())
    answer = await (talk.presses(yes) if yes == "1" else talk.says(yes, speculative=True))
    assert answer.startswith(TR["thank_you"]) and _BALANCE_TR in answer
    assert talk.teller.state.language == "tr"
    # Not again, for money neither.
    assert "elli lira" in await talk.says("Ayşe Yılmaz'a elli lira göndermek istiyorum.")


@pytest.mark.parametrize("no", ["hayır", "no", "sorry what?", "2", "7", "*", "unheard"])
async def test_anything_else_goes_on_as_before(dial: Dial, no: str) -> None:
    talk = await offered(dial())
    if no == "unheard":
        answer = await talk.is_unheard()
    else:
        answer = await (talk.presses(no) if len(no) == 1 else talk.says(no))
    assert answer.startswith(EN["thank_you"]) and "lira" in answer and "kırk" not in answer
    assert talk.teller.state.language == "en"
    assert TR["go_on_in_this_language"] not in await talk.says("What were my last transactions?")


async def test_a_person_is_one_key_away(dial: Dial) -> None:
    talk = await offered(dial())
    assert await talk.presses("0") == TR["transferring"]
    assert len(talk.did(HandOver)) == 1


async def test_a_pipeline_that_dies_over_it_asks_again(dial: Dial) -> None:
    talk = await offered(dial())
    assert TR["go_on_in_this_language"] in await talk.happens(Resumed())
    assert _BALANCE_TR in await talk.presses("1")


async def test_the_same_language_is_not_asked_about(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    await talk.says("What is my balance?")
    await talk.types(EMMA)
    assert (await talk.types(EMMA_PIN)).startswith(EN["thank_you"])


async def test_nor_one_the_site_does_not_speak(dial: Dial) -> None:
    talk = dial(site=Site(languages=("en",)))
    await talk.begins()
    await talk.says("What is my balance?")
    await talk.types(DENIZ)
    assert (await talk.types(DENIZ_PIN)).startswith(EN["thank_you"])
    assert "authentication" not in talk.tools()


async def test_nor_by_who_has_chosen(dial: Dial) -> None:
    talk = dial("tr")
    await talk.begins()
    assert await talk.presses("8") == EN["hello"]
    await talk.says("What is my balance?")
    await talk.types(DENIZ)
    assert (await talk.types(DENIZ_PIN)).startswith(EN["thank_you"])
