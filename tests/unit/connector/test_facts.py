from __future__ import annotations

from dataclasses import replace

from tellerline.connector import facts
from tellerline.connector.spool import CallRecord, Recorded

OPEN = CallRecord("c0ffee", "abc@edge", "cpu-0", "+4930", "echo", opened_at="2026-03-01T10:00:00.250+00:00")
RECORDED = Recorded("c0ffee.tlrec", "gpu1", "a2V5", "7", started_at="2026-03-01T10:00:05.000+00:00")


def _kinds(record: CallRecord) -> list[str | None]:
    return [fact.WhichOneof("fact") for fact in facts.of(record)]


def test_a_record_tells_more_as_its_call_goes_on_and_never_otherwise() -> None:
    recording = replace(OPEN, recording=RECORDED)
    ended = replace(RECORDED, ended_at="2026-03-01T10:01:00.000+00:00", seconds=55.0, bytes=9, complete=True)
    closed = replace(
        OPEN, recording=ended, state="closed", closed_at="2026-03-01T10:01:00.100+00:00", reason="caller"
    )
    assert _kinds(OPEN) == ["call_opened"]
    assert _kinds(recording) == ["call_opened", "recording_started"]
    assert _kinds(closed) == ["call_opened", "recording_started", "recording_ended", "call_closed"]
    for earlier, later in ((OPEN, recording), (recording, closed)):
        told = facts.of(earlier)
        assert facts.of(later)[: len(told)] == told


def test_a_call_that_was_not_recorded() -> None:
    closed = replace(
        OPEN,
        state="closed",
        closed_at="2026-03-01T10:01:00.100+00:00",
        reason="goodbye",
        talk_seconds=59.5,
        codec="PCMA",
        attaches=2,
        digits=4,
        transfer_status=486,
    )
    opened, last = facts.of(closed)
    assert [(fact.sequence, fact.producer, fact.call_id) for fact in (opened, last)] == [
        (1, "connector@cpu-0", "c0ffee"),
        (2, "connector@cpu-0", "c0ffee"),
    ]
    assert opened.at_unix_ms == 1772359200250
    assert (opened.call_opened.caller, opened.call_opened.lane) == ("+4930", "cpu-0")
    end = last.call_closed
    assert (end.reason, end.talk_seconds, end.codec, end.attaches) == ("goodbye", 59.5, "PCMA", 2)
    assert (end.digits, end.transfer_status) == (4, 486)


def test_the_wrapped_key_is_told_with_the_start() -> None:
    started = facts.of(replace(OPEN, recording=RECORDED))[1].recording_started
    assert (started.file, started.host, started.wrapped_key, started.key_id) == (
        "c0ffee.tlrec",
        "gpu1",
        b"key",
        "7",
    )
