"""Slots: leases, lapses, and refusals that protect the calls already here."""

import pytest

from tellerline.engine.admission import FIRST_LEASE_SECONDS, LEASE_SECONDS, Slots, TurnTimes
from tellerline.settings import AdmissionSettings


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def times(clock: Clock) -> TurnTimes:
    return TurnTimes(clock)


@pytest.fixture
def slots(clock: Clock, times: TurnTimes) -> Slots:
    return Slots(AdmissionSettings(max_calls=2, turn_deadline_ms=1000), times, clock)


def slow_turns(times: TurnTimes) -> None:
    for _ in range(8):
        times.observe("recognition", 0.7)
        times.observe("first_token", 0.4)


def test_slots_count_down(slots: Slots) -> None:
    assert [slots.reserve(call).free_slots for call in ("a", "b")] == [1, 0]


def test_the_call_past_the_last_slot_is_refused(slots: Slots) -> None:
    slots.reserve("a")
    slots.reserve("b")
    refused = slots.reserve("c")
    assert (refused.reserved, refused.reason, refused.free_slots) == (False, "full", 0)
    assert refused.retry_after_seconds > 0


def test_refreshing_takes_no_second_slot(slots: Slots) -> None:
    slots.reserve("a")
    assert slots.reserve("a").free_slots == 1


def test_a_released_slot_is_free(slots: Slots) -> None:
    slots.reserve("a")
    slots.release("a")
    slots.release("never seen")
    assert slots.free() == 2


def test_a_lease_not_refreshed_lapses(slots: Slots, clock: Clock) -> None:
    for call in ("a", "b", "a", "b"):
        slots.reserve(call)
    clock.now += LEASE_SECONDS - 1
    slots.reserve("b")
    assert slots.lapsed() == []
    clock.now += 2
    assert slots.lapsed() == ["a"]
    assert slots.free() == 1


def test_calls_that_end_before_they_are_attached_hold_no_slot(slots: Slots, clock: Clock) -> None:
    slots.reserve("cancelled")
    slots.reserve("answered")
    clock.now += 1
    slots.reserve("answered")
    clock.now += FIRST_LEASE_SECONDS
    assert slots.lapsed() == ["cancelled"]
    assert slots.reserve("next").reserved


def test_calls_that_outlive_an_engine_have_their_slots_again(clock: Clock, times: TurnTimes) -> None:
    restarted = Slots(AdmissionSettings(max_calls=1), times, clock)
    restarted.reserve("running")
    clock.now += 5
    restarted.lapsed()
    assert restarted.reserve("running").reserved
    clock.now += 5
    assert restarted.lapsed() == []
    assert restarted.reserve("new").reason == "full"


def test_slow_turns_refuse_a_new_call_but_keep_the_running_one(slots: Slots, times: TurnTimes) -> None:
    slots.reserve("a")
    slow_turns(times)
    assert slots.reserve("b").reason == "slow"
    assert slots.reserve("a").reserved


def test_slow_turns_of_the_past_are_forgotten(slots: Slots, times: TurnTimes, clock: Clock) -> None:
    slots.reserve("a")
    slow_turns(times)
    clock.now += 31
    assert slots.reserve("b").reserved


def test_slow_turns_do_not_refuse_the_only_call(slots: Slots, times: TurnTimes) -> None:
    slow_turns(times)
    assert slots.reserve("a").reserved


def test_one_slow_turn_is_no_load(slots: Slots, times: TurnTimes) -> None:
    slots.reserve("a")
    times.observe("recognition", 9.0)
    assert slots.reserve("b").reserved
