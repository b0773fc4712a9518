"""What a model may say in Turkish: the guards of every language, on words with endings."""

from __future__ import annotations

import pytest

from tellerline import language
from tellerline.pipeline.guards import FigureGuard, SecretsGuard

WORDS = language.load("tr")


@pytest.mark.parametrize(
    "text",
    [
        "Bakiyeniz iki yüz elli lira.",
        "yirmibeş",
        "Yarın gelir.",
        "Salıya kadar bekleyin.",
        "Mart'ta biter.",
        "Bir ay sürer.",
        "bir gün",
        "Faiz yüzde üç.",
        "Üçüncü günde.",
        "onbeş",
        "Saat dokuzda açılır.",
        "bir lira",
        "yarım saat",
        "Geçen hafta geldi.",
        "Birkaç gün içinde gelir.",
        "hafta sonu",
        "milyonlarca",
        "Bu akşam.",
        "250",
        "₺",
    ],
)
def test_figures_are_found(text: str) -> None:
    assert FigureGuard(WORDS).speaks_figures(text)


@pytest.mark.parametrize(
    "text",
    [
        "Size nasıl yardımcı olabilirim?",
        "Bir dakika lütfen.",
        "Bir yetkiliye bağlıyorum.",
        "Onu bilmiyorum, ona sorabilirsiniz.",
        "Kartınızı kapatabiliriz.",
        "Altın hesabı açabilirsiniz.",
        "Bu yüzden üzgünüm.",
        "Ücretsizdir.",
        "Birçok kredimiz var, birlikte bakalım.",
        "Onaylıyorum.",
        "İyi günler.",
        "Her zaman arayabilirsiniz.",
        "",
    ],
)
def test_plain_speech_passes(text: str) -> None:
    assert not FigureGuard(WORDS).speaks_figures(text)


@pytest.mark.parametrize(
    "text",
    [
        "Şifreniz nedir?",
        "Kart numaranızı söyler misiniz?",
        "Lütfen hesap numaranızı paylaşın.",
        "Kişisel bilgilerinizi doğrulayın.",
        "Doğum tarihinizi öğrenebilir miyim?",
        "TC kimlik numaranız lütfen",
        "Kart bilgilerinizi verin.",
    ],
)
def test_a_request_for_secrets_is_found(text: str) -> None:
    assert SecretsGuard(WORDS).asks_for_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "Şifrenizi uygulamadan değiştirebilirsiniz.",
        WORDS.phrases["lost_card"],
        "Krediler hakkında bilgi verebilirim.",
        "Hangi hesabı açmak istersiniz?",
        "Lütfen kartınıza ne olduğunu anlatın.",
    ],
)
def test_talk_about_accounts_passes(text: str) -> None:
    assert not SecretsGuard(WORDS).asks_for_secrets(text)


def test_what_the_model_is_taught_to_say_passes_the_guards() -> None:
    openings = [text for key, text in WORDS.phrases.items() if key.startswith("opening_")]
    taught = [bot for _, bot in WORDS.examples]
    taught += [text for text in openings if text != WORDS.phrases["opening_hours"]]
    assert len(taught) > 20
    for text in taught:
        assert not FigureGuard(WORDS).speaks_figures(text), text
        assert not SecretsGuard(WORDS).asks_for_secrets(text), text
