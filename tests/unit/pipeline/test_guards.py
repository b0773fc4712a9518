"""What a model may say, and in which pieces it is spoken."""

from __future__ import annotations

import pytest

from tellerline import language
from tellerline.pipeline.clauses import ClauseAggregator
from tellerline.pipeline.guards import FigureGuard, RambleGuard

INSTEAD = "I would rather not say."


@pytest.fixture
def figures() -> FigureGuard:
    return FigureGuard(language.load("en"))


@pytest.mark.parametrize(
    "text",
    [
        "Your balance is 250 dollars.",
        "It costs twenty-five a month.",
        "About two hundred.",
        "That is one.",
        "one million",
        "The fee is 3%",
        "The fee is three percent.",
        "You have £ left",
        "Come back on Monday.",
        "We close at noon.",
        "It arrived in March's post... in February.",
        "Half of it.",
        "It is 10 o'clock.",
        "tomorrow's rate",
        "Ⅷ",
        "½",
    ],
)
def test_figures_are_found(figures: FigureGuard, text: str) -> None:
    assert figures.speaks_figures(text)


@pytest.mark.parametrize(
    "text",
    [
        "I can help you with this one.",
        "No one is free, I am afraid.",
        "Which one of our cards do you use?",
        "One of our colleagues will call you.",
        "Please wait one moment.",
        "How can I help you today?",
        "You can open an account at any branch.",
        "I will put you through to someone.",
        "",
    ],
)
def test_plain_speech_passes(figures: FigureGuard, text: str) -> None:
    assert not figures.speaks_figures(text)


def test_an_answer_ends_after_two_sentences() -> None:
    guard = RambleGuard()
    assert [
        guard.allows(s) for s in ("Of course,", "I can help.", "What is it?", "Also, there is more.")
    ] == [
        True,
        True,
        True,
        False,
    ]


def test_a_repeated_sentence_ends_the_answer() -> None:
    guard = RambleGuard()
    assert guard.allows("I can help.")
    assert not guard.allows("I can help!")


# ---- clauses


async def spoken(*pieces: str) -> tuple[list[str], list[str]]:
    """The clauses spoken of a stream, and the guards that stepped in."""
    guarded: list[str] = []
    aggregator = ClauseAggregator(FigureGuard(language.load("en")), INSTEAD, guarded.append)
    clauses = [aggregation.text for piece in pieces async for aggregation in aggregator.aggregate(piece)]
    if rest := await aggregator.flush():
        clauses.append(rest.text)
    return clauses, guarded


def tokens(text: str) -> list[str]:
    return [f" {word}" for word in text.split()]


async def test_the_first_clause_goes_out_at_the_first_comma() -> None:
    clauses, _ = await spoken(
        *tokens("To open an account, please visit a branch. Bring your papers, please.")
    )
    assert clauses == ["To open an account,", "please visit a branch.", "Bring your papers, please."]


async def test_a_comma_after_one_word_is_too_early() -> None:
    clauses, _ = await spoken(*tokens("Yes, of course, I can help you."))
    assert clauses[0] == "Yes, of course,"


async def test_a_long_first_clause_is_cut_after_a_few_words() -> None:
    clauses, _ = await spoken(*tokens("You can change your address at any of our branches with your papers."))
    assert clauses == ["You can change your", "address at any of our branches with your papers."]


async def test_a_short_sentence_is_a_first_clause() -> None:
    clauses, _ = await spoken(*tokens("Of course. What is the matter?"))
    assert clauses == ["Of course.", "What is the matter?"]


async def test_nothing_waits_at_the_end() -> None:
    assert await spoken("I can ", "help") == (["I can help"], [])


async def test_a_figure_is_replaced_and_ends_the_answer() -> None:
    clauses, guarded = await spoken(*tokens("Of course. Your balance is fifty euros. Anything else?"))
    assert clauses == ["Of course.", INSTEAD]
    assert guarded == ["figures"]


async def test_a_number_split_over_tokens_is_found() -> None:
    clauses, _ = await spoken("The fee is ", "thir", "ty", " a month. ", "Bye.")
    assert clauses == [INSTEAD]


async def test_the_next_answer_starts_afresh() -> None:
    aggregator = ClauseAggregator(FigureGuard(language.load("en")), INSTEAD, lambda _: None)
    assert [a.text async for a in aggregator.aggregate("It is 5 euros. And more. ")] == [INSTEAD]
    assert await aggregator.flush() is None
    assert [a.text async for a in aggregator.aggregate("I can help. ")] == ["I can help."]
    await aggregator.handle_interruption()
    assert [a.text async for a in aggregator.aggregate("I can help. ")] == ["I can help."]


async def test_markup_is_not_spoken() -> None:
    assert (await spoken("**Please** visit `us` 😀 soon"))[0] == ["Please visit us soon"]
