"""When leases may be judged."""

from __future__ import annotations

from tellerline.session.upkeep import Grace


def test_grace_passes_with_rounds_that_answer() -> None:
    grace = Grace(3.0)
    assert [grace.passed(now) for now in (100.0, 101.0, 102.0, 103.0, 104.0)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_grace_begins_anew_when_postgres_was_away() -> None:
    grace = Grace(2.0)
    assert [grace.passed(now) for now in (10.0, 11.0, 12.0)] == [False, False, True]
    grace.begin_anew()
    assert [grace.passed(now) for now in (13.0, 14.0, 15.0)] == [False, False, True]


def test_grace_begins_anew_when_this_process_hung() -> None:
    grace = Grace(2.0)
    assert [grace.passed(now) for now in (10.0, 12.0, 60.0, 61.0, 62.0)] == [False, True, False, False, True]
