"""A customer of the bank, in English: what is asked, answered, confirmed and done."""

from __future__ import annotations

from tellerline import language
from tellerline.pipeline.flows.events import Said
from tellerline.pipeline.flows.plan import HangUp

from .conftest import EMMA, EMMA_PIN, Dial
from .talk import Talk

PHRASES = language.load("en").phrases
CURRENT = "current account ending in four eight two one"
SAVINGS = "savings account ending in seven seven three three"


async def known(talk: Talk) -> Talk:
    """The same call, once Emma has asked for her balance and proved who she is."""
    await talk.begins()
    assert PHRASES["ask_customer_number"] in await talk.says("What is my balance?")
    await talk.logs_in(EMMA, EMMA_PIN)
    assert talk.teller.state.level == 2
    return talk


async def test_a_caller_proves_who_they_are_and_hears_what_they_asked_for(dial: Dial) -> None:
    talk = dial()
    assert await talk.begins() == PHRASES["greeting"]
    asked = await talk.says("What is my balance?", speculative=True)
    assert asked == f"{PHRASES['first_who']} {PHRASES['ask_customer_number']}"
    assert talk.dark.purpose == "customer_number"
    assert await talk.types(EMMA) == PHRASES["ask_pin"]
    assert talk.dark.purpose == "pin"
    answer = await talk.types(EMMA_PIN)
    assert answer.startswith(PHRASES["thank_you"])
    assert f"{CURRENT} holds two thousand three hundred and forty pounds and fifty-five pence" in answer
    assert SAVINGS in answer


async def test_another_account_is_told_for_yes_and_by_name(dial: Dial) -> None:
    talk = await known(dial())
    assert "eight thousand one hundred and fifty pounds" in await talk.says("Yes please.")
    assert "two thousand three hundred and forty" in await talk.says("and the current account again?")
    assert "eight thousand one hundred and fifty" in await talk.says("No, the savings account.")


async def test_where_a_card_is(dial: Dial) -> None:
    talk = await known(dial())
    answer = await talk.says("Where is my new card?", speculative=True)
    assert "debit card ending in nine zero one six was posted" in answer
    assert "It should reach you" in answer


async def test_the_latest_transactions(dial: Dial) -> None:
    talk = await known(dial())
    answer = await talk.says("What were my last transactions?", speculative=True)
    assert "Yesterday, twenty-three pounds and forty-five pence to Corner Market." in answer
    assert "two thousand one hundred pounds from Salary Hartley Design." in answer
    assert "twenty-five thousand" not in answer
    assert "two hundred and fifty pounds from From current" in await talk.says("and on the savings account?")


async def test_where_a_branch_is_needs_no_proof(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    answer = await talk.says("When is your branch open?", speculative=True)
    assert "High Street is at twelve High Street, London." in answer
    assert "Monday to Friday from nine to five" in answer


async def test_a_lost_card_is_blocked_for_a_customer_number_alone(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    await talk.says("I have lost my card.")
    assert await talk.types(EMMA) == f"{PHRASES['thank_you']} Your debit card. {PHRASES['block_question']}"
    blocked = await talk.says("Yes.", speculative=True)
    assert "Your debit card is blocked. A new card has been ordered for you." in blocked
    assert talk.tools().count("block_card") == 1
    assert "accounts" not in talk.tools()


async def test_a_card_is_not_blocked_without_a_yes(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    await talk.says("I have lost my card.")
    await talk.types(EMMA)
    assert await talk.says("No.") == PHRASES["not_done"]
    assert "block_card" not in talk.tools()


# ---- money


async def test_a_bill_is_read_back_and_paid_once(dial: Dial) -> None:
    talk = await known(dial())
    asked = await talk.says("I want to pay my energy bill.", speculative=True)
    assert "You are paying sixty-four pounds and twenty pence to Green Energy, from your " + CURRENT in asked
    assert asked.endswith(PHRASES["confirm_question"])
    assert "on its way" in await talk.says("Yes.", speculative=True)
    assert talk.tools().count("execute") == 1
    told = await talk.says("I want to pay a bill.")
    assert "City Water" in told
    assert "Green Energy" not in told


async def test_which_of_several_bills(dial: Dial) -> None:
    talk = await known(dial())
    told = await talk.says("I need to pay a bill.")
    assert "Green Energy" in told
    assert "City Water" in told
    assert "to City Water" in await talk.says("City Water, please.")


async def test_money_is_sent_after_a_correction_in_the_middle(dial: Dial) -> None:
    talk = await known(dial())
    asked = await talk.says("I'd like to send fifty pounds to Maria Lopez.", speculative=True)
    assert (
        "You are sending fifty pounds to Maria Lopez, ending five five one two, from your " + CURRENT in asked
    )
    corrected = await talk.says("No, from the savings account.", speculative=True)
    assert "fifty pounds to Maria Lopez" in corrected
    assert SAVINGS in corrected
    assert "You are sending sixty pounds" in await talk.says("Make it sixty pounds.")
    assert "execute" not in talk.tools()
    assert "sixty pounds to Maria Lopez is on its way" in await talk.says("Yes.")
    assert talk.tools().count("execute") == 1
    assert "eight thousand and ninety pounds" in await talk.says("What is the balance of my savings account?")


async def test_what_is_missing_is_asked_for(dial: Dial) -> None:
    talk = await known(dial())
    assert (await talk.says("I want to send money.")).endswith(PHRASES["ask_payee"])
    assert "among your payees" in await talk.says("Napoleon Bonaparte")
    assert (await talk.says("To John Smith.")).endswith(PHRASES["ask_amount"])
    assert "You are sending twenty pounds to John Smith" in await talk.says("Twenty pounds.")


async def test_money_between_own_accounts(dial: Dial) -> None:
    talk = await known(dial())
    asked = await talk.says("Transfer two hundred pounds from my savings account to my current account.")
    assert "You are moving two hundred pounds to your " + CURRENT.capitalize() in asked
    assert "from your " + SAVINGS in asked
    assert "on its way" in await talk.presses("1")


async def asked_to_confirm(dial: Dial) -> Talk:
    talk = await known(dial())
    asked = await talk.says("Send fifty pounds to Maria Lopez.", heard=False)
    assert asked.endswith(PHRASES["confirm_question"])
    return talk


async def test_a_yes_before_the_end_of_the_read_back_confirms_nothing(dial: Dial) -> None:
    talk = await asked_to_confirm(dial)
    assert "You are sending fifty pounds" in await talk.says("Yes.")
    assert "execute" not in talk.tools()
    assert "on its way" in await talk.says("Yes.")


async def test_a_key_confirms_once_the_figures_were_heard(dial: Dial) -> None:
    talk = await asked_to_confirm(dial)
    assert "You are sending fifty pounds" in await talk.presses("1", heard=False)
    readback = talk.teller.state.slots["readback"]
    talk.teller.played(" ".join([*readback, "To confirm,"]), True)
    assert "on its way" in await talk.presses("1")


async def test_a_doubtful_yes_is_asked_for_again(dial: Dial) -> None:
    talk = await known(dial())
    await talk.says("Send fifty pounds to Maria Lopez.")
    assert await talk.says("Yes.", logprob=-1.2) == PHRASES["confirm_question"]
    assert "execute" not in talk.tools()


async def test_anything_else_is_no(dial: Dial) -> None:
    for text in ("No.", "Hm, maybe.", "Yes but wait", "Cancel", "What is my balance?", "yes no"):
        talk = await known(dial())
        await talk.says("Send fifty pounds to Maria Lopez.")
        await talk.says(text)
        assert "execute" not in talk.tools(), text
        assert talk.teller.state.step != "confirm", text
    talk = await known(dial())
    await talk.says("Send fifty pounds to Maria Lopez.")
    assert await talk.presses("3") == PHRASES["not_done"]
    await talk.says("Yes.")
    assert "execute" not in talk.tools()


async def test_limits_and_funds_are_told(dial: Dial) -> None:
    talk = await known(dial())
    assert "one call" in await talk.says("Send five thousand pounds to Maria Lopez.")
    assert talk.teller.state.flow == "open"


# ---- courtesies


async def test_repeat_slower_help_and_goodbye(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    hours = await talk.says("When are you open?")
    assert await talk.says("Could you repeat that?") == hours
    slow = await talk.says("Can you speak more slowly please?")
    assert slow.startswith(PHRASES["slower"])
    assert slow.endswith(hours)
    assert talk.teller.state.slow
    assert await talk.says("What can you do for me?") == PHRASES["help"]
    assert await talk.says("Hello") == PHRASES["hello"]
    assert await talk.says("Goodbye.") == PHRASES["goodbye"]
    assert talk.did(HangUp) == [HangUp("goodbye")]


async def test_a_flow_is_dropped_for_another_or_for_nothing(dial: Dial) -> None:
    talk = await known(dial())
    await talk.says("I want to send money.")
    assert await talk.says("Never mind.") == PHRASES["cancelled"]
    await talk.says("I want to send money.")
    # The router hears nothing for sure in these; in the middle of a task the word is enough.
    assert await talk.says("Cancel the transfer please.") == PHRASES["cancelled"]
    await talk.says("I want to send money.")
    assert "was posted" in await talk.says("Where is my new card?")
    assert await talk.says("No, thank you.") == PHRASES["goodbye"]


async def test_a_general_question_is_the_models(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    plan = await talk.teller.consider(Said("What are your mortgage rates?"))
    assert plan.ask_model == "What are your mortgage rates?"
    assert plan.lines == ()
    assert plan.state.flow == "open"


async def test_speculation_leaves_no_trace(dial: Dial) -> None:
    talk = await known(dial())
    before = talk.teller.state
    plan = await talk.teller.consider(Said("Send fifty pounds to Maria Lopez."), speculative=True)
    assert talk.teller.state is before
    assert plan.write is not None
    assert talk.asked[-1].speculative
    assert "quote" not in talk.tools()
