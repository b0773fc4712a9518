"""What a call record tells the session service: its facts, numbered the same way every time."""

from __future__ import annotations

import base64
from datetime import datetime

from tellerline.connector.spool import CallRecord, Recorded
from tellerline.rpc import session_pb2 as pb


def of(record: CallRecord) -> list[pb.Record]:
    """The facts of `record` so far, in the order they happened, from sequence 1.

    A later version of the same record only adds to them: sending all of them again is safe.
    """
    facts = [_fact(record.opened_at, call_opened=_opened(record))]
    about = record.recording
    if about is not None:
        facts.append(_fact(about.started_at, recording_started=_started(about)))
        if about.ended_at is not None:
            facts.append(_fact(about.ended_at, recording_ended=_ended(about)))
    if record.closed_at is not None:
        facts.append(_fact(record.closed_at, call_closed=_closed(record)))
    for number, fact in enumerate(facts, start=1):
        fact.call_id = record.call_id
        fact.producer = f"connector@{record.lane}"
        fact.sequence = number
    return facts


def _fact(at: str, **fact: object) -> pb.Record:
    at_unix_ms = round(datetime.fromisoformat(at).timestamp() * 1000)
    return pb.Record(at_unix_ms=at_unix_ms, **fact)  # type: ignore[arg-type]


def _opened(record: CallRecord) -> pb.CallOpened:
    return pb.CallOpened(
        sip_call_id=record.sip_call_id, lane=record.lane, caller=record.caller, called=record.called
    )


def _closed(record: CallRecord) -> pb.CallClosed:
    return pb.CallClosed(
        reason=record.reason or "",
        talk_seconds=record.talk_seconds,
        codec=record.codec or "",
        attaches=record.attaches,
        digits=record.digits,
        underrun_ticks=record.underrun_ticks,
        transfer_status=record.transfer_status or 0,
    )


def _started(about: Recorded) -> pb.RecordingStarted:
    return pb.RecordingStarted(
        file=about.file,
        host=about.host,
        wrapped_key=base64.b64decode(about.wrapped_key),
        key_id=about.key_id,
    )


def _ended(about: Recorded) -> pb.RecordingEnded:
    return pb.RecordingEnded(
        file=about.file, seconds=about.seconds, bytes=about.bytes, complete=about.complete
    )
