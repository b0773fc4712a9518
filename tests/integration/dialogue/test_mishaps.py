"""What goes wrong around a conversation: a bank away, failing speech, nobody free, a pipeline that dies."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tellerline import language
from tellerline.pipeline.flows import reception
from tellerline.pipeline.flows.desk import Site
from tellerline.pipeline.flows.events import Begin, Key, Resumed, TransferEnded, Unserved
from tellerline.pipeline.flows.plan import CallBack, HandOver, HangUp, Record
from tellerline.pipeline.flows.state import State
from tellerline.pipeline.understanding import Routed
from tellerline.sandbox_bank.behaviour import Fault

from .conftest import EMMA, EMMA_PIN, Bank, Dial
from .talk import Talk

PHRASES = language.load("en").phrases


class NoRouter:
    """The router is away; the language model has this opinion."""

    def __init__(self, opinion: str) -> None:
        self.opinion = opinion

    async def route(self, text: str, language: str) -> Routed:
        return Routed()

    async def choose(self, text: str, language: str, among: Sequence[str]) -> str:
        assert {*reception.FLOWS, "human", "out_of_scope"} == {*among}
        return self.opinion


async def known(talk: Talk) -> Talk:
    """The same call, once Emma has proved who she is."""
    await talk.begins()
    await talk.says("What is my balance?")
    await talk.logs_in(EMMA, EMMA_PIN)
    return talk


def gone_on(dial: Dial, talk: Talk) -> Talk:
    """The call in another pipeline: nothing but its state crosses."""
    other = dial(state=State.from_json(talk.teller.state.to_json()))
    other.continues(talk)
    return other


# ---- the bank


async def test_an_order_nobody_answers_for_is_pending_and_never_sent_twice(dial: Dial, bank: Bank) -> None:
    talk = await known(dial())
    await talk.says("Send fifty pounds to Maria Lopez.")
    bank.sandbox.behaviour.switch((Fault(mode="hanging", operations=("execute", "execution"), deed="done"),))
    assert "has not confirmed it yet" in await talk.says("Yes.")
    sent = [entry for entry in bank.sandbox.journal if entry["operation"] == "execute"]
    assert len(sent) == 1
    bank.sandbox.behaviour.switch(())


async def test_a_bank_that_fails_is_told_in_a_phrase(dial: Dial, bank: Bank) -> None:
    talk = await known(dial())
    bank.sandbox.behaviour.switch((Fault(mode="failing"),))
    assert await talk.says("What were my last transactions?") == PHRASES["bank_away"]
    bank.sandbox.behaviour.switch(())
    assert "Corner Market" in await talk.says("What were my last transactions?")


# ---- a person


async def test_a_person_gets_a_reference_and_the_session_the_summary(dial: Dial) -> None:
    talk = await known(dial())
    await talk.says("Send fifty pounds to Maria Lopez.")
    assert await talk.says("Can I talk to a human please?") == PHRASES["transferring"]
    [handed] = talk.did(HandOver)
    assert len(handed.reference) == 16
    assert (
        "Caller authenticated. Asked for: balance, transfer, human. Was at: transfer, confirm."
        in handed.summary
    )
    assert "Lopez" not in handed.reference


async def test_zero_is_a_person_at_any_moment(dial: Dial) -> None:
    for steps in (
        (),
        ("I want to send money.",),
        ("I need to pay a bill.",),
        ("Send fifty pounds to Maria Lopez.",),
    ):
        talk = await known(dial())
        for text in steps:
            await talk.says(text)
        assert await talk.presses("0") == PHRASES["transferring"]
        assert "execute" not in talk.tools()


async def test_the_next_target_is_tried_and_then_a_call_back_offered(dial: Dial) -> None:
    site = Site(targets=("sip:one@127.0.0.1", "sip:two@127.0.0.1"), keeps=True)
    talk = dial(site=site)
    await talk.begins()
    await talk.says("Agent!")
    assert await talk.transfer_ends(False) == PHRASES["trying_another"]
    assert await talk.transfer_ends(False) == language.clauses("en", "callback_question")[0]
    assert [handed.target for handed in talk.did(HandOver)] == list(site.targets)
    assert language.clauses("en", "callback_promised")[0] in await talk.says("Yes please.")
    assert [back.reference for back in talk.did(CallBack)] == [talk.did(HandOver)[0].reference]
    assert "High Street" in await talk.says("When are you open?")


async def test_thanks_while_it_rings_changes_nothing(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    await talk.says("Agent!")
    for text in ("Thank you very much.", "Goodbye.", "Agent!"):
        assert await talk.says(text) == PHRASES["transferring"]
    assert len(talk.did(HandOver)) == 1
    assert talk.did(HangUp) == []


# ---- speech that fails


async def test_speech_that_fails_twice_gives_way_to_the_keypad(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    assert await talk.is_unheard() == PHRASES["not_heard"]
    assert await talk.is_unheard() == f"{PHRASES['not_heard']} {PHRASES['menu']} {PHRASES['menu_language']}"
    assert PHRASES["ask_customer_number"] in await talk.presses("4")
    assert "two thousand three hundred" in await talk.logs_in(EMMA, EMMA_PIN)


async def test_in_the_middle_of_a_flow_keys_take_over_its_question(dial: Dial) -> None:
    talk = await known(dial())
    await talk.says("I want to send money.")
    await talk.says("Mumble mumble.")
    asked = await talk.is_unheard()
    assert "For Maria Lopez, press one. For John Smith, press two." in asked
    assert await talk.presses("2") == f"{PHRASES['all_right']} {PHRASES['type_amount']}"
    assert await talk.presses("20") == ""
    assert "You are sending twenty pounds to John Smith" in await talk.presses("#")
    assert "on its way" in await talk.presses("1")


@pytest.mark.parametrize(("keys", "gives_up"), [("#", True), ("20**", True), ("2*0", False)])
async def test_who_does_not_want_to_type_an_amount_gets_a_person(
    dial: Dial, keys: str, gives_up: bool
) -> None:
    talk = await known(dial())
    await talk.presses("7")
    assert "For a colleague, press hash alone." in await talk.presses("2")
    answer = await talk.presses(keys)
    assert answer == (PHRASES["transferring"] if gives_up else "")
    assert len(talk.did(HandOver)) == int(gives_up)


async def test_models_that_are_away_leave_the_keypad_and_a_person(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    assert await talk.is_unheard(failed=True) == PHRASES["apology"]
    assert PHRASES["menu"] in await talk.is_unheard(failed=True)
    assert await talk.presses("0") == PHRASES["transferring"]


async def test_a_call_that_comes_while_no_model_is_there_is_greeted_and_served_by_keys(dial: Dial) -> None:
    talk = dial()
    said = await talk.happens(Begin(unserved=True))
    assert said == f"{PHRASES['greeting']} {PHRASES['menu']} {PHRASES['menu_language']}"
    assert PHRASES["ask_customer_number"] in await talk.presses("4")
    # They are back by now.
    assert "two thousand three hundred" in await talk.logs_in(EMMA, EMMA_PIN)


async def test_recognition_that_stays_away_ends_with_a_person(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    for _ in range(3):
        await talk.is_unheard(failed=True)
    assert talk.did(HandOver) == []
    assert await talk.is_unheard(failed=True) == PHRASES["transferring"]
    assert len(talk.did(HandOver)) == 1


async def test_a_language_model_that_stays_away_leaves_the_keypad_then_a_person(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    away = Unserved("language_model")
    assert await talk.happens(away) == PHRASES["apology"]
    assert await talk.happens(away) == f"{PHRASES['apology']} {PHRASES['menu']} {PHRASES['menu_language']}"
    assert PHRASES["ask_customer_number"] in await talk.presses("4")
    # It is not asked while digits are awaited; what it failed at before changes nothing about them.
    assert await talk.happens(away) == PHRASES["ask_customer_number"]
    assert "two thousand three hundred" in await talk.logs_in(EMMA, EMMA_PIN)
    assert await talk.happens(away) == PHRASES["transferring"]


async def test_a_language_model_that_answers_again_is_forgiven(dial: Dial) -> None:
    talk = dial()
    await talk.begins()
    for _ in range(5):
        assert await talk.happens(Unserved("language_model")) == PHRASES["apology"]
        talk.teller.answered("A standing order is a payment you make again and again.")


async def test_a_voice_that_is_back_is_forgiven(dial: Dial) -> None:
    talk = await known(dial())
    for _ in range(3):
        assert PHRASES["menu"] in await talk.happens(Unserved("synthesis"))
        assert "two thousand three hundred" in await talk.presses("41")


async def test_a_read_back_nobody_could_speak_cannot_be_confirmed(dial: Dial) -> None:
    talk = await known(dial())
    await talk.says("Send fifty pounds to Maria Lopez.", heard=False)
    assert PHRASES["menu"] in await talk.happens(Unserved("synthesis"))
    await talk.presses("1")
    assert "execute" not in talk.tools()


async def test_without_a_voice_only_phrases_in_memory_are_said(dial: Dial) -> None:
    for site in (Site(targets=("sip:one@127.0.0.1",), keeps=True), Site(keeps=True)):
        talk = dial(site=site)
        await talk.begins()
        said = [await talk.happens(Unserved("synthesis")) for _ in range(2)]
        if site.targets:
            # Nobody takes the call, and the question whether to call back has no voice either.
            await talk.happens(TransferEnded(False), heard=False)
        said += [await talk.happens(Unserved("synthesis")) for _ in range(2)]
        lines = {line for plan in talk.plans[-2:] for line in plan.lines}
        assert lines == {PHRASES["nobody_free"], PHRASES["menu"]}
        assert all(said)
        assert len(talk.did(HandOver)) == len(site.targets)


async def test_without_a_router_the_language_model_is_asked_and_then_the_caller(dial: Dial) -> None:
    talk = dial(understanding=NoRouter("lost_card"))
    await talk.begins()
    asked = await talk.says("It has gone missing.")
    assert asked.startswith("Do you want")
    assert talk.tools() == []
    assert PHRASES["ask_customer_number"] in await talk.says("Yes.")


async def test_without_a_router_the_language_model_can_name_a_person(dial: Dial) -> None:
    talk = dial(understanding=NoRouter("human"))
    await talk.begins()
    assert "colleague" in await talk.says("Is somebody there?")
    assert talk.did(HandOver) == []
    assert await talk.says("Yes.") == PHRASES["transferring"]


async def test_a_silent_caller_is_asked_with_the_question_and_let_go(dial: Dial) -> None:
    talk = await known(dial())
    await talk.says("I want to send money.")
    assert await talk.is_silent() == f"{PHRASES['still_there']} {PHRASES['ask_payee']}"
    assert await talk.is_silent(last=True) == PHRASES["silence_goodbye"]
    assert talk.did(HangUp) == [HangUp("silence")]


# ---- recording


async def test_recording_starts_once_the_notice_was_heard_and_not_refused(dial: Dial) -> None:
    talk = dial(site=Site(records=True))
    assert await talk.begins() == PHRASES["greeting_recorded"]
    assert talk.did(Record) == []
    await talk.says("When are you open?")
    assert talk.did(Record) == [Record(True)]


async def test_a_notice_that_was_cut_off_is_given_again_first(dial: Dial) -> None:
    talk = dial(site=Site(records=True))
    await talk.happens(Begin(), heard=False)
    assert (await talk.says("When are you open?")).startswith(PHRASES["recording_notice"])
    assert talk.did(Record) == []
    await talk.says("Could you repeat that?")
    assert talk.did(Record) == [Record(True)]


async def test_who_refuses_is_not_recorded_and_goes_on(dial: Dial) -> None:
    for refuse in ("star", "words"):
        talk = dial(site=Site(records=True))
        await talk.begins()
        refused = await (talk.presses("*") if refuse == "star" else talk.says("Please do not record this."))
        assert refused == PHRASES["not_recorded"]
        assert talk.did(Record) == [Record(False)]
        assert "High Street" in await talk.says("When are you open?")
        assert talk.did(Record) == [Record(False)]


# ---- another pipeline


async def test_a_call_goes_on_in_another_pipeline_without_a_second_proof(dial: Dial) -> None:
    talk = gone_on(dial, await known(dial()))
    assert (await talk.happens(Resumed())).startswith(PHRASES["resumed"])
    assert "eight thousand one hundred and fifty" in await talk.says("Yes please.")


async def test_a_read_back_is_quoted_and_read_anew(dial: Dial) -> None:
    first = await known(dial())
    await first.says("Send fifty pounds to Maria Lopez from my savings account.")
    talk = gone_on(dial, first)
    asked = await talk.happens(Resumed())
    assert asked.startswith(PHRASES["resumed"])
    assert "You are sending fifty pounds to Maria Lopez" in asked
    assert "seven seven three three" in asked
    assert "on its way" in await talk.says("Yes.")


async def test_digits_typed_while_the_pipeline_was_dead_count(dial: Dial) -> None:
    first = dial()
    await first.begins()
    await first.says("What is my balance?")
    await first.types(EMMA)
    talk = gone_on(dial, first)
    still = await talk.happens(Resumed(dark_id=first.dark.dark_id))
    assert still == PHRASES["resumed"]
    talk.actions += first.actions
    assert "two thousand three hundred" in await talk.types(EMMA_PIN)


async def test_an_order_that_was_out_when_the_pipeline_died_is_in_doubt(dial: Dial) -> None:
    first = await known(dial())
    await first.says("Send fifty pounds to Maria Lopez.")
    plan = await first.teller.consider(Key("1"))
    first.teller.state = plan.state
    talk = gone_on(dial, first)
    assert "has not confirmed it yet" in await talk.happens(Resumed())
    assert "execute" not in talk.tools()
