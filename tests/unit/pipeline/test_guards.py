"""What a model may say, and in which pieces it is spoken."""

from __future__ import annotations

import pytest

from tellerline import language
from tellerline.pipeline.clauses import ClauseAggregator
from tellerline.pipeline.guards import FigureGuard, PromiseGuard, RambleGuard, SecretsGuard

PHRASES = language.load("en").phrases
INSTEAD = PHRASES["no_figures"]


@pytest.fixture
def figures() -> FigureGuard:
    return FigureGuard(language.load("en"))


@pytest.fixture
def secrets() -> SecretsGuard:
    return SecretsGuard(language.load("en"))


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
        "It is due on the fifteenth.",
        "On the thirteenth, I think.",
        "Your fortieth payment.",
        "the hundredth customer",
        "It starts on the first of May.",
        "It is paid on the first.",
        "The second of June it is.",
        "It ends in May.",
        "We are open Mondays and Fridays.",
        "We are closed at weekends.",
        "A man in the thirties.",
        "It was founded in the nineties.",
        "That makes a trillion.",
        "millions",
        "From Jan. to Feb. it is free.",
        "until Sept. at least",
        "It opens at a quarter to ten a.m.",
        "in the a.m.",
        "We will call you tonight.",
        "It arrives next week.",
        "It came last month.",
        "We will call this afternoon.",
        "It takes a month.",
        "within an hour",
        "a couple of grand",
        "It costs a quid.",
        "two pennies",
        "twentyfive",
        "fivehundred",
        "onehundred",
        "tenthousand",
        "There are two zeros in it.",
        "Wait one more day.",
        "this one day",
        "one business day",
        "a one-year loan",
        "That's one card.",
        "a twenty\u2011five",
        "\uff54\uff57\uff4f cards",
        "thir\u200bty",
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
        "No one likes that.",
        "Ask one of our colleagues, please.",
        "First, please tell me what happened.",
        "First of all, keep calm.",
        "At first it may look odd.",
        "The first step is easy.",
        "You can order a second card.",
        "Just a second, please.",
        "May I ask you something?",
        "This may take a moment.",
        "Good morning, and good afternoon.",
        "Your attendant tends to tenants, often.",
        "Fortunately, the tone is fine at once.",
        "Anyone can do that alone, and everyone does.",
        "Is there one more thing?",
        "",
    ],
)
def test_plain_speech_passes(figures: FigureGuard, text: str) -> None:
    assert not figures.speaks_figures(text)


@pytest.mark.parametrize(
    "text",
    [
        "What's your account number?",
        "What is your account number?",
        "Can I have your card number",
        "Please provide your account details.",
        "Your PIN, please.",
        "May I have your date of birth?",
        "Could you tell me the last digits of your card?",
        "I will need your password to continue.",
        "Please enter the security code.",
        "Can you confirm your personal information?",
        "Please give me the number on the front of your card.",
    ],
)
def test_a_request_for_secrets_is_found(secrets: SecretsGuard, text: str) -> None:
    assert secrets.asks_for_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "You can find your account number on your statement.",
        "Please call the number on the back of your card.",
        PHRASES["lost_card"],
        "You can change your password online.",
        "We offer a number of accounts, what a choice.",
        "What can I do for you?",
        "Which account would you like to open?",
        "I can give you information about loans.",
        "Please tell me what happened to your card.",
        "",
    ],
)
def test_talk_about_accounts_passes(secrets: SecretsGuard, text: str) -> None:
    assert not secrets.asks_for_secrets(text)


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
    aggregator = ClauseAggregator(language.load("en"), PHRASES.__getitem__, guarded.append)
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


async def test_a_figure_split_over_clauses_is_found() -> None:
    clauses, guarded = await spoken(*tokens("Please come back again, next week or so."))
    assert clauses == ["Please come back again,", INSTEAD]
    clauses, guarded = await spoken(*tokens("You will surely have it, next"), " week.")
    assert (clauses[-1], guarded) == (INSTEAD, ["figures"])


async def test_a_request_for_secrets_is_replaced_and_ends_the_answer() -> None:
    clauses, guarded = await spoken(*tokens("Of course. What's your account number? I am waiting."))
    assert clauses == ["Of course.", PHRASES["no_secrets"]]
    assert guarded == ["secrets"]


async def test_a_request_for_secrets_split_over_clauses_is_found() -> None:
    clauses, _ = await spoken(*tokens("Please provide me with your name, address and account number."))
    assert clauses[-1] == PHRASES["no_secrets"]
    assert "account" not in " ".join(clauses[:-1])


async def test_the_next_answer_starts_afresh() -> None:
    aggregator = ClauseAggregator(language.load("en"), PHRASES.__getitem__, lambda _: None)
    assert [a.text async for a in aggregator.aggregate("It is 5 euros. And more. ")] == [INSTEAD]
    assert await aggregator.flush() is None
    assert [a.text async for a in aggregator.aggregate("I can help. ")] == ["I can help."]
    await aggregator.handle_interruption()
    assert [a.text async for a in aggregator.aggregate("I can help. ")] == ["I can help."]


async def test_markup_is_not_spoken() -> None:
    assert (await spoken("**Please** visit `us` 😀 soon"))[0] == ["Please visit us soon"]


def test_what_the_model_is_taught_to_say_passes_the_guards() -> None:
    words = language.load("en")
    openings = [text for key, text in words.phrases.items() if key.startswith("opening_")]
    taught = [bot for _, bot in words.examples] + [o for o in openings if o != words.phrases["opening_hours"]]
    assert len(taught) > 20
    for text in taught:
        assert not FigureGuard(words).speaks_figures(text), text
        assert not SecretsGuard(words).asks_for_secrets(text), text


# ---- promises


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("en", "I guarantee that your loan is safe."),
        ("en", "I would recommend the savings account."),
        ("en", "I've transferred the money to Maria."),
        ("en", "Your card has been blocked."),
        ("en", "Rest assured, you will get a refund."),
        ("en", "You are verified."),
        # Read-backs are the bank's: nobody gave this order.
        ("en", "You are sending everything to John Smith."),
        ("en", "Say yes to confirm."),
        ("tr", "Kredinizin onaylandı olduğunu söyleyebilirim."),
        ("tr", "Parayı gönderdim."),
        ("tr", "Onaylamak için evet deyin."),
    ],
)
def test_promises_advice_and_deeds_are_found(code: str, sentence: str) -> None:
    assert PromiseGuard(language.load(code)).promises(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "You can change it in any branch.",
        "Of course, a colleague can help you.",
        "The app works in any country.",
    ],
)
def test_plain_answers_promise_nothing(sentence: str) -> None:
    assert not PromiseGuard(language.load("en")).promises(sentence)
