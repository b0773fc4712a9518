"""Redaction: sentences as callers say them, and recall and precision over a generated corpus."""

from __future__ import annotations

from collections import Counter

import pytest
import redaction_corpus as corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import luhn

from tellerline.session.redaction import redact

_SENTENCES = 3000


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("My card number is 4929 1234 5678 9012 please", "My card number is [card] please"),
        ("it's 4929-1234-5678-9012.", "it's [card]."),
        ("forty nine twenty nine double one uh thirty four five six seven eight, nine triple zero", "[card]"),
        ("card 4929, 1234. 5678, 9012 expires soon", "card [card] expires soon"),
        ("account 12345678 sort 12-34-56", "account [account] sort [account]"),
        ("send it to GB29 NWBK 6016 1331 9268 19 from my account", "send it to [iban] from my account"),
        ("gb29nwbk60161331926819", "[iban]"),
        ("G B two nine N W B K six oh one six one three three one nine two six eight one nine", "[iban]"),
        (
            "golf bravo two nine november whiskey bravo kilo "
            "six oh one six one three three one nine two six eight one nine",
            "[iban]",
        ),
        ("call me on 07700 900 123 after five", "call me on [phone] after five"),
        ("that's AB 12 34 56 C", "that's [id]"),
        ("my pin is one two three four", "my pin is [secret]"),
        ("1234 is my PIN", "[secret] is my PIN"),
        ("the security code is 987", "the security code is [secret]"),
        ("nine two four one", "[number]"),
        ("nine for two to one six", "[account]"),
        ("+1 (415) 555-0132", "[phone]"),
        ("four nine two nine one two, that's it, five six seven eight", "[account], that's it, [number]"),
        ("the three digits on the back are 123", "the three digits on the back are [number]"),
        (
            "my pin is gb eighty two west twelve thirty four fifty six ninety eight seventy six fifty four",
            "my pin is gb [secret][account]",
        ),
        ("４９２９ １２３４ ５６７８ ９０１２", "[card]"),
        ("write to anna.smith+bank@example.co.uk please", "write to [email] please"),
    ],
)
def test_english_numbers_go(said: str, kept: str) -> None:
    assert redact(said, "en") == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("kart numaram 4929 1234 5678 9012'dir", "kart numaram [card]'dir"),
        ("telefonum sıfır beş yüz otuz iki yüz yirmi üç kırk beş altmış yedi", "telefonum [phone]"),
        ("telefonum sıfır beşyüzotuziki yüzyirmiüç kırkbeş altmışyedi", "telefonum [phone]"),
        ("telefonum sifir bes yuz otuz iki yuz yirmi uc kirk bes altmis yedi", "telefonum [phone]"),
        ("SIFIR BEŞ ALTI YEDİ SEKİZ DOKUZ", "[account]"),
        (
            "TC kimlik numaram on iki üç yüz kırk beş altı yüz yetmiş sekiz doksan on",
            "TC kimlik numaram [id]",
        ),
        ("10000000146 numaralı", "[id] numaralı"),
        ("TR33 0006 1005 1978 6457 8413 26 hesabına", "[iban] hesabına"),
        ("şifrem bir iki üç dört", "şifrem [secret]"),
        ("bir iki üç dört şifrem", "[secret] şifrem"),
        ("iki tane sıfır beş dört iki üç tane yedi", "[account]"),
        ("hesap numaram on iki milyon üç yüz kırk beş bin altı yüz yetmiş sekiz", "hesap numaram [account]"),
        ("kartın arkasındaki üç hane 123", "kartın arkasındaki üç hane [number]"),
    ],
)
def test_turkish_numbers_go(said: str, kept: str) -> None:
    assert redact(said, "tr") == kept


@pytest.mark.parametrize(
    "said",
    [
        "transfer two thousand five hundred pounds to Anna",
        "between two hundred and three hundred",
        "pay 250000 euros on 2026-11-23 at 10:30",
        "open 09:00 - 17:00 on 23/11/2026",
        "Your balance is £1,234,567.89 and the card ending 4217.",
        "the card that ends in four two one seven",
        "on May twelve twenty twenty six",
        "nineteen eighty four",
        "4 thousand 5 hundred from my account",
        "I have 2 cards and 3 accounts",
        "",
    ],
)
def test_english_amounts_days_and_last_digits_stay(said: str) -> None:
    assert redact(said, "en") == said


@pytest.mark.parametrize(
    "said",
    [
        "iki bin beş yüz otuz iki lira elli kuruş gönder",
        "hesabımdan yüz elli bin lira gönder 12.05.2026 tarihinde",
        "sonu 4217 ile biten kart",
        "20 bin lira çek, 250000 TL öde, kalan 1.234.567,89",
        "bu yüzden biri onu aldı",
    ],
)
def test_turkish_amounts_days_and_last_digits_stay(said: str) -> None:
    assert redact(said, "tr") == said


@pytest.mark.parametrize("code", ["en", "tr"])
def test_recall_and_precision_over_the_corpus(code: str, record_property, capsys) -> None:
    """Recall: in how many of 3,000 sentences not one digit of the sensitive number is left. >= 99 %."""
    missed: Counter[str] = Counter()
    examples: list[str] = []
    for sentence in corpus.sensitive(code, _SENTENCES):
        kept = redact(sentence.text, code)
        if corpus.digits_left(kept, code) or "[" not in kept:
            missed[f"{sentence.kind}, {sentence.form}"] += 1
            examples.append(f"{sentence.text!r} → {kept!r}")
    wrong = [
        f"{sentence.text!r} → {redact(sentence.text, code)!r}"
        for sentence in corpus.harmless(code, _SENTENCES)
        if redact(sentence.text, code) != sentence.text
    ]
    recall = 1 - missed.total() / _SENTENCES
    precision = (_SENTENCES - missed.total()) / (_SENTENCES - missed.total() + len(wrong))
    with capsys.disabled():
        print(
            f"\nredaction {code}: recall {recall:.4f}, precision {precision:.4f}, {_SENTENCES} sentences each"
        )
    assert recall >= 0.99, (missed, examples[:20])
    assert precision >= 0.95, wrong[:20]


@given(text=st.text(max_size=200), code=st.sampled_from(["en", "tr", "xx", ""]))
@settings(max_examples=300, deadline=None)
def test_anything_can_be_redacted_and_twice_is_once(text: str, code: str) -> None:
    once = redact(text, code)
    assert redact(once, code) == once


@given(
    body=st.text("0123456789", min_size=12, max_size=18),
    between=st.sampled_from(["", " ", "-", ".", ", ", " and ", " uh ", "\u00a0", "\u200b"]),
    size=st.integers(1, 19),
    around=st.sampled_from(["{}", "it is {} thanks", "({})", "on 2026-11-23 I gave {} to you for 5 pounds"]),
)
@settings(max_examples=300, deadline=None)
def test_no_card_number_survives_any_grouping(body: str, between: str, size: int, around: str) -> None:
    number = body + str(luhn.calc_check_digit(body))
    written = between.join(number[i : i + size] for i in range(0, len(number), size))
    kept = redact(around.format(written), "en")
    assert kept.replace(" ", "") == around.replace(" ", "").format("[card]") or not any(
        number[i : i + 5] in "".join(c for c in kept if c.isdigit()) for i in range(len(number) - 5)
    )


def test_words_without_numbers_stay() -> None:
    said = "I want to speak to somebody about the loan, it is for my son's school; can you ring me?"
    assert redact(said, "en") == said
