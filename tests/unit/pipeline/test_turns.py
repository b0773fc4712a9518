"""Turn taking, told as transcripts: what the caller does, and what comes of it."""

from __future__ import annotations

import pytest

from tellerline import language
from tellerline.pipeline import turns
from tellerline.pipeline.turn_events import (
    Abandon,
    Action,
    CheckTurn,
    Confirm,
    FinalizeRecognition,
    Held,
    Interrupt,
    KeyPressed,
    PausePlayout,
    PromptSilentCaller,
    RecognitionFailed,
    ResumePlayout,
    Speculate,
    StartRecognition,
    StopRecognition,
    Transcript,
    Unheld,
    Verdict,
    Window,
    Withdraw,
)
from tellerline.pipeline.turns import TurnTaking
from tellerline.settings import CallLimits, TurnSettings


class Caller:
    """A caller's side of the conversation; every step returns what turn taking did about it."""

    def __init__(self) -> None:
        self.taking = TurnTaking(TurnSettings(), CallLimits(), language.load("en"))
        self.now_ms = 0
        self.sequence = 0
        self.bot_has_floor = False
        self.waits = False

    def _windows(self, ms: int, probability: float) -> list[Action]:
        actions: list[Action] = []
        for _ in range(round(ms / turns.WINDOW_MS)):
            self.now_ms += turns.WINDOW_MS
            window = Window(self.now_ms, probability, self.bot_has_floor, self.waits)
            actions += self.taking.handle(window)
        for action in actions:
            if isinstance(action, FinalizeRecognition):
                self.sequence = action.sequence
        return actions

    def voice(self, ms: int) -> list[Action]:
        return self._windows(ms, 0.95)

    def silence(self, ms: int) -> list[Action]:
        return self._windows(ms, 0.02)

    def recognised(self, text: str, sequence: int | None = None, avg_logprob: float = -0.1) -> list[Action]:
        return self.taking.handle(Transcript(self.now_ms, sequence or self.sequence, text, avg_logprob))

    def verdict(self, complete: bool) -> list[Action]:
        return self.taking.handle(Verdict(self.now_ms, self.sequence, complete))

    def holds(self) -> list[Action]:
        return self.taking.handle(Held())

    def comes_back(self) -> list[Action]:
        return self.taking.handle(Unheld())

    def key(self) -> list[Action]:
        return self.taking.handle(KeyPressed())


def kinds(actions: list[Action]) -> list[type[Action]]:
    return [type(action) for action in actions]


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def interrupting(caller: Caller) -> Caller:
    """A caller the bot is talking to."""
    caller.bot_has_floor = True
    caller.silence(960)
    return caller


def test_a_click_is_not_speech(caller: Caller) -> None:
    assert caller.voice(64) == []
    assert caller.silence(960) == []


def test_a_question_is_answered(caller: Caller) -> None:
    caller.silence(320)
    assert caller.voice(96) == [StartRecognition(since_ms=320)]
    caller.voice(992)
    assert caller.silence(32) == [FinalizeRecognition(1)]
    assert caller.recognised("Tell me more.") == [Interrupt(), Speculate("Tell me more."), CheckTurn(1)]
    assert caller.verdict(complete=True) == []
    assert caller.silence(128) == []
    assert caller.silence(64) == [StopRecognition(), Confirm("Tell me more.")]


def test_a_question_mark_needs_no_turn_model(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(64)
    assert kinds(caller.recognised("Where is my card?")) == [Interrupt, Speculate]
    assert kinds(caller.silence(160)) == [StopRecognition, Confirm]


def test_a_late_transcript_confirms_as_soon_as_it_is_judged(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(480)
    assert kinds(caller.recognised("My card is lost.")) == [Interrupt, Speculate, CheckTurn]
    assert kinds(caller.verdict(complete=True)) == [StopRecognition, Confirm]


def test_an_unfinished_sentence_waits_longer(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(192)
    caller.recognised("I want a new")
    assert caller.verdict(complete=False) == []
    assert caller.silence(TurnSettings().incomplete_stop_ms - 256) == []
    assert kinds(caller.silence(128)) == [StopRecognition, Confirm]


@pytest.mark.parametrize(
    "courtesy", ["Hello.", "Thank you.", "Okay, thanks.", "Yes.", "Good morning.", "Sorry?"]
)
def test_a_mere_courtesy_waits_for_more(caller: Caller, courtesy: str) -> None:
    caller.voice(640)
    caller.silence(192)
    caller.recognised(courtesy)
    caller.verdict(complete=True)
    assert caller.silence(320) == []
    assert kinds(caller.silence(64)) == [StopRecognition, Confirm]


def test_what_follows_a_courtesy_is_answered_with_it(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(192)
    caller.recognised("Thank you.")
    caller.verdict(complete=True)
    caller.silence(256)
    assert caller.voice(96) == [Withdraw()]
    caller.voice(320)
    caller.silence(32)
    caller.recognised("Thank you, goodbye.")
    caller.verdict(complete=True)
    assert caller.silence(192) == [StopRecognition(), Confirm("Thank you, goodbye.")]


def test_a_goodbye_alone_is_answered_at_once(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(192)
    caller.recognised("Goodbye.")
    caller.silence(32)
    assert kinds(caller.verdict(complete=True)) == [StopRecognition, Confirm]


def test_a_hesitation_withdraws_the_guess_and_answers_the_whole(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(192)
    assert kinds(caller.recognised("I want to")) == [Interrupt, Speculate]
    assert caller.voice(96) == [Withdraw()]
    caller.voice(640)
    assert kinds(caller.silence(32)) == [FinalizeRecognition]
    assert caller.recognised("I want to book a room") == [Speculate("I want to book a room"), CheckTurn(2)]
    caller.verdict(complete=True)
    assert kinds(caller.silence(192)) == [StopRecognition, Confirm]


def test_the_text_of_the_first_half_never_answers_the_second(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(96)
    caller.voice(640)
    assert caller.recognised("I want to", sequence=1) == []
    caller.silence(32)
    assert caller.recognised("I want to", sequence=1) == []
    assert caller.silence(320) == []
    assert caller.recognised("I want to book a room")[1] == Speculate("I want to book a room")


def test_a_breath_after_the_last_word_keeps_the_guess(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(96)
    caller.recognised("Where is my card?")
    caller.verdict(complete=True)
    assert caller.voice(64) == []
    assert kinds(caller.silence(64)) == [StopRecognition, Confirm]


def test_the_same_text_again_is_not_thought_about_twice(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(64)
    caller.recognised("Yes, please.")
    assert caller.recognised("yes please") == [CheckTurn(1)]


def test_silence_before_the_transcript_does_not_confirm(caller: Caller) -> None:
    caller.voice(640)
    assert kinds(caller.silence(3200)) == [FinalizeRecognition]


def test_noise_while_the_bot_is_silent_leaves_no_trace(caller: Caller) -> None:
    caller.voice(320)
    caller.silence(64)
    assert caller.recognised("") == [StopRecognition()]
    assert caller.silence(640) == []


def test_a_backchannel_is_an_answer_when_the_bot_is_silent(caller: Caller) -> None:
    caller.voice(320)
    caller.silence(64)
    assert kinds(caller.recognised("Okay.")) == [Interrupt, Speculate, CheckTurn]


# ---- over the bot


def test_voice_pauses_the_bot_at_once(interrupting: Caller) -> None:
    assert interrupting.voice(64) == []
    assert kinds(interrupting.voice(32)) == [StartRecognition, PausePlayout]


def test_words_take_the_floor(interrupting: Caller) -> None:
    interrupting.voice(384)
    interrupting.silence(64)
    assert kinds(interrupting.recognised("Wait, stop.")) == [Interrupt, Speculate, CheckTurn]


@pytest.mark.parametrize("heard", ["", "Mm-hmm.", "uh", "Okay, right.", "Yeah yeah"])
def test_a_cough_or_a_backchannel_lets_the_bot_go_on(interrupting: Caller, heard: str) -> None:
    interrupting.voice(256)
    interrupting.silence(64)
    assert interrupting.recognised(heard) == []
    assert interrupting.silence(320) == [StopRecognition(), ResumePlayout()]


def test_a_first_syllable_without_a_text_does_not_let_the_bot_in(interrupting: Caller) -> None:
    interrupting.voice(128)
    interrupting.silence(64)
    assert interrupting.recognised("") == []
    # The caller goes on: the bot stays silent, and the words take the floor.
    assert ResumePlayout not in kinds(interrupting.voice(384))
    interrupting.silence(64)
    assert kinds(interrupting.recognised("How do I get a new card?"))[0] is Interrupt


def test_words_cut_in_the_middle_are_asked_for_again(interrupting: Caller) -> None:
    asked = [a for a in interrupting.voice(640) if isinstance(a, FinalizeRecognition)]
    assert len(asked) == 1
    assert interrupting.recognised("How do I g", avg_logprob=-1.3) == []
    # Well past the patience for noise without words.
    again = interrupting.voice(480)
    assert kinds(again) == [FinalizeRecognition]
    assert kinds(interrupting.recognised("How do I get a new")) == [Interrupt]


def test_a_text_the_recogniser_doubts_lets_the_bot_go_on(interrupting: Caller) -> None:
    interrupting.voice(256)
    interrupting.silence(64)
    assert interrupting.recognised("in my mom", avg_logprob=-1.3) == []
    assert interrupting.silence(320) == [StopRecognition(), ResumePlayout()]


def test_a_doubted_word_people_interrupt_with_takes_the_floor(interrupting: Caller) -> None:
    interrupting.voice(256)
    interrupting.silence(64)
    assert kinds(interrupting.recognised("cancel", avg_logprob=-1.6))[0] is Interrupt


def test_a_doubtful_text_is_an_answer_when_the_bot_is_silent(caller: Caller) -> None:
    caller.voice(256)
    caller.silence(64)
    assert kinds(caller.recognised("Lopez.", avg_logprob=-1.3))[0] is Interrupt


def test_a_word_among_backchannels_takes_the_floor(interrupting: Caller) -> None:
    interrupting.voice(256)
    interrupting.silence(64)
    assert kinds(interrupting.recognised("Yeah, no."))[0] is Interrupt


def test_the_bot_does_not_wait_for_a_slow_recogniser(interrupting: Caller) -> None:
    interrupting.voice(256)
    actions = interrupting.silence(736)
    assert kinds(actions) == [FinalizeRecognition, ResumePlayout]
    assert kinds(interrupting.recognised("Stop it.")) == [Interrupt, Speculate, CheckTurn]


def test_long_speech_over_the_bot_is_recognised_before_it_ends(interrupting: Caller) -> None:
    assert kinds(interrupting.voice(640)) == [StartRecognition, PausePlayout, FinalizeRecognition]
    assert interrupting.recognised("No I would like") == [Interrupt()]
    interrupting.voice(320)
    assert kinds(interrupting.silence(32)) == [FinalizeRecognition]
    assert kinds(interrupting.recognised("No I would like another card")) == [Speculate, CheckTurn]


def test_long_noise_over_the_bot_resumes_it_within_the_bound(interrupting: Caller) -> None:
    # Three texts are asked for, about half a second apart, before noise is what it is taken for.
    for _ in range(3):
        assert FinalizeRecognition in kinds(interrupting.voice(640))
        assert interrupting.recognised("") == []
    assert kinds(interrupting.voice(64)) == [ResumePlayout]
    assert interrupting.voice(960) == []
    interrupting.silence(32)
    assert interrupting.recognised("") == [StopRecognition()]


def test_a_backchannel_goes_on_as_a_sentence(interrupting: Caller) -> None:
    interrupting.voice(256)
    interrupting.silence(64)
    interrupting.voice(480)
    interrupting.silence(32)
    assert kinds(interrupting.recognised("Okay, but where is it?"))[0] is Interrupt


def test_words_that_vanish_leave_an_apologetic_question(interrupting: Caller) -> None:
    interrupting.voice(640)
    interrupting.recognised("No wait")
    interrupting.silence(32)
    assert interrupting.recognised("") == [StopRecognition(), Abandon("unheard")]


# ---- keys, failures, silence


def test_a_key_voids_what_was_being_said(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(64)
    caller.recognised("I would like")
    assert caller.key() == [StopRecognition(), Withdraw(), Abandon("key")]
    assert caller.silence(960) == []


def test_a_key_in_silence_asks_for_nothing(caller: Caller) -> None:
    assert caller.key() == []


def test_a_dead_recogniser_apologises_once_an_utterance(interrupting: Caller) -> None:
    interrupting.voice(320)
    failed = RecognitionFailed()
    assert interrupting.taking.handle(failed) == [StopRecognition(), ResumePlayout(), Abandon("failed")]
    assert interrupting.voice(960) == []
    interrupting.silence(32)
    assert kinds(interrupting.voice(96)) == [StartRecognition, PausePlayout]


def test_a_silent_caller_is_asked_twice_and_then_let_go(caller: Caller) -> None:
    actions = caller.silence(31_000)
    assert actions == [PromptSilentCaller(False), PromptSilentCaller(False), PromptSilentCaller(True)]


def test_the_bots_own_speech_is_not_the_callers_silence(interrupting: Caller) -> None:
    assert interrupting.silence(20_000) == []
    interrupting.bot_has_floor = False
    assert kinds(interrupting.silence(8_100)) == [PromptSilentCaller]


def test_an_answer_starts_the_prompts_again(caller: Caller) -> None:
    caller.silence(16_100)
    caller.voice(640)
    caller.silence(64)
    caller.recognised("I am here.")
    caller.verdict(complete=True)
    caller.silence(320)
    assert caller.silence(16_200) == [PromptSilentCaller(False), PromptSilentCaller(False)]


def test_a_caller_asked_to_wait_is_not_asked_whether_they_are_there(caller: Caller) -> None:
    caller.waits = True
    assert caller.silence(31_000) == []
    caller.waits = False
    assert kinds(caller.silence(8_100)) == [PromptSilentCaller]


def test_a_hanging_recogniser_is_given_up(caller: Caller) -> None:
    caller.voice(640)
    assert kinds(caller.silence(6_200)) == [FinalizeRecognition, StopRecognition, Abandon]


def test_a_failing_recogniser_takes_the_guess_with_it(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(64)
    caller.recognised("Where is my")
    failed = caller.taking.handle(RecognitionFailed())
    assert failed == [StopRecognition(), Withdraw(), Abandon("failed")]


# ---- hold


def test_nobody_talks_to_a_caller_on_hold(caller: Caller) -> None:
    caller.silence(4_000)
    assert caller.holds() == []
    assert caller.silence(60_000) == []
    assert caller.voice(640) == []


def test_a_caller_back_from_hold_has_all_their_time_again(caller: Caller) -> None:
    caller.silence(17_000)
    caller.holds()
    caller.silence(60_000)
    assert caller.comes_back() == []
    assert caller.silence(7_900) == []
    assert caller.silence(8_400) == [PromptSilentCaller(False), PromptSilentCaller(False)]


def test_what_hold_cut_off_is_asked_for_again(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(64)
    caller.recognised("I would like to")
    assert caller.holds() == [StopRecognition(), Withdraw(), Abandon("held")]
    assert caller.comes_back() == [Abandon("unheard")]
    assert kinds(caller.voice(96)) == [StartRecognition]


def test_a_sentence_paused_by_the_caller_goes_on_after_hold(interrupting: Caller) -> None:
    interrupting.voice(256)
    assert interrupting.holds() == [StopRecognition(), ResumePlayout()]
    assert interrupting.comes_back() == []


def test_a_late_text_does_nothing_on_hold(caller: Caller) -> None:
    caller.voice(640)
    caller.silence(64)
    caller.holds()
    assert caller.recognised("Where is my card?") == []
