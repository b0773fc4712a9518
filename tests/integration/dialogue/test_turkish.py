"""The same flows in Turkish, by text."""

from __future__ import annotations

from tellerline import language
from tellerline.pipeline.flows.desk import Site
from tellerline.pipeline.flows.plan import HandOver

from .conftest import DENIZ, DENIZ_PIN, Dial
from .talk import Talk

PHRASES = language.load("tr").phrases


async def known(talk: Talk) -> Talk:
    """The same call, once Deniz has asked for the balance and proved who they are."""
    assert await talk.begins() == PHRASES["greeting"]
    assert PHRASES["ask_customer_number"] in await talk.says("Bakiyemi öğrenmek istiyorum.", speculative=True)
    assert await talk.types(DENIZ) == PHRASES["ask_pin"]
    answer = await talk.types(DENIZ_PIN)
    assert answer.startswith(PHRASES["thank_you"])
    assert "kırk iki bin yüz elli lira yetmiş beş kuruş" in answer
    return talk


async def test_questions(dial: Dial) -> None:
    talk = await known(dial("tr"))
    assert "yüz yirmi beş bin lira" in await talk.says("Birikim hesabım?", speculative=True)
    assert "altı bir iki yedi" in await talk.says("Yeni kartım nerede?", speculative=True)
    told = await talk.says("Son hareketlerimi söyler misiniz?", speculative=True)
    assert "dört yüz seksen beş lira doksan kuruş" in told
    assert "Köşe Market" in told
    assert "Beyoğlu" in await talk.says("Şubeniz ne zaman açık?", speculative=True)


async def test_a_bill(dial: Dial) -> None:
    talk = await known(dial("tr"))
    asked = await talk.says("Doğalgaz faturamı ödemek istiyorum.", speculative=True)
    assert "yedi yüz kırk iki lira otuz kuruş" in asked
    assert asked.endswith(PHRASES["confirm_question"])
    assert "Mavi Doğalgaz" in await talk.says("Evet.", speculative=True)
    assert talk.tools().count("execute") == 1


async def test_a_transfer_with_a_correction(dial: Dial) -> None:
    talk = await known(dial("tr"))
    asked = await talk.says("Ayşe Yılmaz'a elli lira göndermek istiyorum.", speculative=True)
    assert "elli lira" in asked
    assert "üç üç dokuz sıfır" in asked
    assert "üç lira yirmi kuruş" in asked
    corrected = await talk.says("Hayır, birikim hesabından.", speculative=True)
    assert "sekiz sekiz bir iki" in corrected
    assert "execute" not in talk.tools()
    await talk.says("Evet.")
    assert talk.tools().count("execute") == 1


async def test_a_no_sends_nothing(dial: Dial) -> None:
    talk = await known(dial("tr"))
    await talk.says("Mehmet Demir'e yüz lira gönder.")
    assert await talk.says("Hayır.") == PHRASES["not_done"]
    assert "execute" not in talk.tools()


async def test_a_lost_card_and_a_person(dial: Dial) -> None:
    talk = dial("tr")
    await talk.begins()
    await talk.says("Kartımı kaybettim.")
    assert PHRASES["block_question"] in await talk.types(DENIZ)
    assert "kapatıldı" in await talk.says("Evet.")
    assert await talk.says("Yetkiliyle görüşmek istiyorum.") == PHRASES["transferring"]
    assert len(talk.did(HandOver)) == 1


async def test_the_keypad_is_enough(dial: Dial) -> None:
    talk = dial("tr")
    await talk.begins()
    assert PHRASES["ask_customer_number"] in await talk.presses("4")
    await talk.types(DENIZ)
    assert "kırk iki bin yüz elli lira" in await talk.types(DENIZ_PIN)
    offered = await talk.presses("7")
    assert "Ayşe Yılmaz" in offered
    assert PHRASES["type_amount"] in await talk.presses("1")
    read = await talk.presses("5*50#")
    assert "beş lira elli kuruş" in read
    await talk.presses("1")
    assert talk.tools().count("execute") == 1


async def test_the_language_can_change(dial: Dial) -> None:
    talk = dial("en")
    await talk.begins()
    assert await talk.says("Do you speak Turkish?") == PHRASES["hello"]
    assert talk.teller.state.language == "tr"
    assert "Beyoğlu" in await talk.says("Şubeniz ne zaman açık?")


async def test_the_menu_names_the_key_that_changes_the_language(dial: Dial) -> None:
    talk = dial("tr")
    await talk.begins()
    told = await talk.presses("#")
    assert told == f"{PHRASES['menu']} {PHRASES['menu_language']}"
    assert await talk.presses("8") == language.load("en").phrases["hello"]
    assert talk.teller.state.language == "en"


async def test_a_site_of_one_language_names_no_such_key(dial: Dial) -> None:
    talk = dial("tr", site=Site(languages=("tr",)))
    await talk.begins()
    assert await talk.presses("8") == PHRASES["menu"]
