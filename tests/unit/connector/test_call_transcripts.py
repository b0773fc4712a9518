"""Whole calls as transcripts: `>>` is what happened, `<<` is what the connector must do about it."""

from __future__ import annotations

import pytest

from tellerline.connector.call import Call, State
from tellerline.connector.commands import (
    Answer,
    AskAdmission,
    Attach,
    AwaitPlayout,
    CloseRecord,
    Command,
    Detach,
    DiscardRecord,
    HangUp,
    OpenRecord,
    Phrase,
    Play,
    Refuse,
    SendDigit,
    SendHold,
    SendRefer,
    SendTransferProgress,
    StartTimer,
    StopTimer,
)
from tellerline.connector.events import (
    Admitted,
    AnswerFailed,
    Confirmed,
    DigitPressed,
    Disconnected,
    DrainDeadline,
    Event,
    HangUpAsked,
    HoldChanged,
    Invited,
    PlayoutDone,
    RecordFailed,
    RecordOpened,
    Refused,
    RtpSilent,
    StreamLost,
    StreamUp,
    Timer,
    TimerFired,
    TransferAsked,
    TransferStatus,
)


class Transcript:
    """A call; every command must be written down before the next event, in order."""

    def __init__(self) -> None:
        self.call = Call()
        self._commands: list[Command] = []

    def __rshift__(self, event: Event) -> Transcript:
        assert self._commands == [], f"not written down before {event}"
        self._commands = self.call.receive(event)
        return self

    def __lshift__(self, command: Command) -> Transcript:
        assert self._commands, f"{command} was not commanded"
        assert self._commands.pop(0) == command
        return self

    def ends(self, state: State) -> None:
        assert self._commands == []
        assert self.call.state is state


@pytest.fixture
def call() -> Transcript:
    return Transcript()


@pytest.fixture
def opening(call: Transcript) -> Transcript:
    return call >> Invited() << AskAdmission() >> Admitted() << OpenRecord()


@pytest.fixture
def answering(opening: Transcript) -> Transcript:
    return opening >> RecordOpened() << Answer()


@pytest.fixture
def attached(answering: Transcript) -> Transcript:
    return answering >> Confirmed() << Attach(resume=False, attempt=1) >> StreamUp()


@pytest.fixture
def reattaching(attached: Transcript) -> Transcript:
    return (
        attached
        >> StreamLost()
        << Play(Phrase.APOLOGY)
        << StartTimer(Timer.REATTACH)
        << Attach(resume=True, attempt=2)
    )


def test_a_plain_call(attached: Transcript) -> None:
    attached >> DigitPressed("5", 80) << SendDigit("5", 80)
    attached >> Disconnected() << Detach() << CloseRecord("caller")
    attached.ends(State.CLOSED)


def test_a_lane_that_takes_no_calls_refuses(call: Transcript) -> None:
    (call >> Invited("draining") << Refuse(503, "draining")).ends(State.CLOSED)


def test_a_pipeline_that_is_full_refuses_with_its_own_time(call: Transcript) -> None:
    call >> Invited() << AskAdmission() >> Refused("engine full", 7) << Refuse(503, "engine full", 7)
    call >> Disconnected(answered=False)
    call.ends(State.CLOSED)


def test_without_a_record_there_is_no_answer(opening: Transcript) -> None:
    (opening >> RecordFailed() << Refuse(503, "spool")).ends(State.CLOSED)


def test_cancel_while_admitting(call: Transcript) -> None:
    (call >> Invited() << AskAdmission() >> Disconnected(answered=False) >> Admitted()).ends(State.CLOSED)


def test_cancel_while_the_record_is_written(opening: Transcript) -> None:
    (opening >> Disconnected(answered=False) >> RecordOpened() << DiscardRecord()).ends(State.CLOSED)


def test_an_offer_that_cannot_be_answered_leaves_no_record(answering: Transcript) -> None:
    (answering >> Disconnected(answered=False) << DiscardRecord() >> AnswerFailed()).ends(State.CLOSED)


def test_an_answer_that_could_not_be_sent_leaves_no_record(answering: Transcript) -> None:
    (answering >> AnswerFailed() << DiscardRecord() >> Disconnected(answered=False)).ends(State.CLOSED)


def test_an_answer_without_ack_is_recorded(answering: Transcript) -> None:
    (answering >> Disconnected() << CloseRecord("no_ack")).ends(State.CLOSED)


def test_the_pipeline_says_goodbye(attached: Transcript) -> None:
    attached >> HangUpAsked("goodbye", after_playout=True) << AwaitPlayout() << StartTimer(Timer.PLAYOUT)
    # It need not live for its last words to be heard.
    attached >> StreamLost() >> PlayoutDone() << HangUp()
    (attached >> Disconnected() << Detach() << CloseRecord("goodbye")).ends(State.CLOSED)


def test_last_words_that_never_end_are_cut(attached: Transcript) -> None:
    attached >> HangUpAsked("goodbye", after_playout=True) << AwaitPlayout() << StartTimer(Timer.PLAYOUT)
    (attached >> TimerFired(Timer.PLAYOUT) << HangUp()).ends(State.CLOSING)


def test_a_hang_up_at_once(attached: Transcript) -> None:
    (attached >> HangUpAsked("error") << HangUp()).ends(State.CLOSING)


def test_a_pipeline_that_comes_back_has_the_call_again(reattaching: Transcript) -> None:
    reattaching >> StreamUp() << StopTimer(Timer.REATTACH)
    (reattaching >> Disconnected() << Detach() << CloseRecord("caller")).ends(State.CLOSED)
    assert reattaching.call.attempts == 2


def test_a_call_at_two_deaths_is_not_attached_a_third_time(reattaching: Transcript) -> None:
    reattaching >> StreamUp() << StopTimer(Timer.REATTACH)
    reattaching >> StreamLost()
    _polite_end(reattaching)


def test_a_pipeline_that_dies_of_the_attach_itself(reattaching: Transcript) -> None:
    reattaching >> StreamLost()
    _polite_end(reattaching)


def test_a_pipeline_that_stays_away(reattaching: Transcript) -> None:
    reattaching >> TimerFired(Timer.REATTACH)
    _polite_end(reattaching)


def _polite_end(call: Transcript) -> None:
    call << StopTimer(Timer.REATTACH) << Detach() << Play(Phrase.GOODBYE)
    call << AwaitPlayout() << StartTimer(Timer.PLAYOUT)
    call >> PlayoutDone() << HangUp() >> Disconnected() << Detach() << CloseRecord("pipeline_lost")
    call.ends(State.CLOSED)


def test_hold_is_told_once_and_again_to_the_next_pipeline(attached: Transcript) -> None:
    attached >> HoldChanged(False) >> HoldChanged(True) << SendHold(True) >> HoldChanged(True)
    attached >> StreamLost() << Play(Phrase.APOLOGY) << StartTimer(Timer.REATTACH) << Attach(True, 2)
    attached >> StreamUp() << StopTimer(Timer.REATTACH) << SendHold(True)
    attached >> HoldChanged(False) << SendHold(False)


def test_a_call_that_starts_on_hold(answering: Transcript) -> None:
    answering >> HoldChanged(True) >> Confirmed() << Attach(resume=False, attempt=1)
    (answering >> StreamUp() << SendHold(True)).ends(State.ATTACHED)


@pytest.fixture
def transferring(attached: Transcript) -> Transcript:
    attached >> TransferAsked(3, "sip:desk@bank", "ref") << SendRefer("sip:desk@bank", "ref")
    return attached << StartTimer(Timer.TRANSFER)


def test_a_transfer_that_succeeds_ends_the_call(transferring: Transcript) -> None:
    transferring >> TransferStatus(202, final=False) << SendTransferProgress(3, 202, final=False)
    transferring << StartTimer(Timer.TRANSFER)
    transferring >> TransferStatus(180, final=False) << SendTransferProgress(3, 180, final=False)
    transferring << StopTimer(Timer.TRANSFER) << StartTimer(Timer.RINGING)
    transferring >> TransferStatus(183, final=False) << SendTransferProgress(3, 183, final=False)
    transferring >> TransferStatus(200, final=True) << SendTransferProgress(3, 200, final=True)
    transferring << StopTimer(Timer.TRANSFER) << StopTimer(Timer.RINGING) << HangUp()
    (transferring >> Disconnected() << Detach() << CloseRecord("transferred")).ends(State.CLOSED)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (TransferStatus(486, final=True), 486),
        # Some leave the subscription active after a failure.
        (TransferStatus(503, final=False), 503),
        (TimerFired(Timer.TRANSFER), 408),
        (TimerFired(Timer.RINGING), 408),
    ],
    ids=["busy", "busy, subscription active", "no news", "nobody answers"],
)
def test_a_transfer_that_fails_goes_on_with_the_call(
    transferring: Transcript, event: Event, status: int
) -> None:
    transferring >> TransferAsked(4, "sip:other@bank") << SendTransferProgress(4, 491, final=True)
    transferring >> event << SendTransferProgress(3, status, final=True)
    transferring << StopTimer(Timer.TRANSFER) << StopTimer(Timer.RINGING)
    # News of a transfer that was given up, and then the next target.
    transferring >> TransferStatus(200, final=True)
    transferring >> TransferAsked(4, "sip:other@bank") << SendRefer("sip:other@bank")
    (transferring << StartTimer(Timer.TRANSFER)).ends(State.ATTACHED)


def test_a_caller_gone_without_bye(attached: Transcript) -> None:
    attached >> RtpSilent() << HangUp() >> Disconnected() << Detach() << CloseRecord("rtp_silence")


def test_the_drain_ends_what_still_runs(attached: Transcript) -> None:
    attached >> DrainDeadline() << HangUp() >> Disconnected() << Detach() << CloseRecord("drained")


def test_the_drain_ends_a_call_that_was_never_confirmed(answering: Transcript) -> None:
    (answering >> DrainDeadline() << HangUp() >> Disconnected() << Detach() << CloseRecord("drained")).ends(
        State.CLOSED
    )


def test_the_drain_refuses_a_call_being_admitted(call: Transcript) -> None:
    call >> Invited() << AskAdmission() >> DrainDeadline() << Refuse(503, "drained")
    (call >> Admitted() >> Disconnected(answered=False)).ends(State.CLOSED)


def test_the_drain_refuses_a_call_whose_record_is_being_written(opening: Transcript) -> None:
    opening >> DrainDeadline() << Refuse(503, "drained")
    (opening >> RecordOpened() << DiscardRecord() >> Disconnected(answered=False)).ends(State.CLOSED)


def test_what_comes_after_the_end_means_nothing(attached: Transcript) -> None:
    attached >> Disconnected() << Detach() << CloseRecord("caller")
    attached >> Disconnected() >> DigitPressed("1") >> StreamLost() >> StreamUp() >> HangUpAsked("late")
    (attached >> TimerFired(Timer.REATTACH) >> RtpSilent()).ends(State.CLOSED)


def test_a_digit_is_in_no_repr() -> None:
    assert "7" not in repr(DigitPressed("7")) + repr(SendDigit("7"))
