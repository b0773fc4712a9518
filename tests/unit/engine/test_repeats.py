"""Runaway repeats are taken out; what a person may well have said twice stays."""

import pytest

from tellerline.engine.asr.repeats import compression_ratio, without_repeats


@pytest.mark.parametrize(
    ("text", "seconds", "left"),
    [
        ("Yes. Yes. Yes. Yes. Yes. Yes.", 0.7, "Yes."),
        ("I lost my card. I lost my card.", 1.8, "I lost my card."),
        ("Your balance is $250. Your balance is $250", 2.2, "Your balance is $250."),
        ("I lost my card. I lost my card.", 3.8, "I lost my card."),
        ("I lost my card, I lost my card, I lost my card, I lost my", 1.8, "I lost my card,"),
        ("Pay the bill. The card. The card. The card. The card.", 1.5, "Pay the bill. The card."),
    ],
)
def test_repeats_go(text: str, seconds: float, left: str) -> None:
    assert without_repeats(text, seconds, cut_short=False) == left


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("No, no, no.", 1.0),
        ("Yes, yes.", 0.8),
        ("five one five, five one five", 2.5),
        ("My balance is $250, my balance is $250", 5.0),
        ("I would like to transfer $250 to Maria Lopez.", 2.8),
        ("4539 1488 0343 6467", 5.0),
        ("515, 515, 515. 515, 515, 515.", 5.0),
        ("Five five five five one one one one", 3.0),
        ("Thank you, thank you.", 1.0),
        ("What is my balance?", 1.2),
        ("", 0.5),
    ],
)
def test_what_people_say_stays(text: str, seconds: float) -> None:
    assert without_repeats(text, seconds, cut_short=False) == text


def test_a_decoder_stopped_by_its_limit_was_running_away() -> None:
    assert without_repeats("the the the the", 4.0, cut_short=True) == "the"


def test_compression_tells_repeats() -> None:
    assert compression_ratio("I lost my card. " * 20) > 2.4 > compression_ratio("I lost my card yesterday.")


def test_a_second_copy_that_only_began_is_dropped() -> None:
    assert without_repeats("Can I use my card abroad? Can I", 1.6, False) == "Can I use my card abroad?"
    assert without_repeats("Can you tell me about your loans? Can", 1.6, False) == (
        "Can you tell me about your loans?"
    )


def test_a_sentence_and_another_stay() -> None:
    assert without_repeats("Where is my card? Where can I call?", 3.0, False) == (
        "Where is my card? Where can I call?"
    )
    assert without_repeats("Yes. Yes please", 1.5, False) == "Yes. Yes please"
