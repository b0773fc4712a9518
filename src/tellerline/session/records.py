"""Which statements store a Record, with which values; and which records cannot be stored at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tellerline import audit
from tellerline.rpc import session_pb2

# Facts an auditor asks for, beside what banking writes; with the fields that tell no content.
_AUDITED: dict[str, Callable[[Any], dict[str, audit.Scalar]]] = {
    "consent_given": lambda fact: {"recording": fact.recording},
    "handed_over": lambda fact: {"target": fact.target},
    "recording_started": lambda fact: {"file": fact.file, "key_id": fact.key_id},
}
# Statements of queries.sql beside the one named as the kind.
_MORE: dict[str, tuple[str, ...]] = {
    "call_closed": ("forget_context",),
    "turn_taken": ("call_language",),
    "context_saved": ("call_language",),
}
_ID_MAX = 200


@dataclass(frozen=True)
class Row:
    """A record ready to be stored: `statements` are names in queries.sql, all take `values`."""

    call_id: str
    lane: str
    kind: str
    at: datetime
    statements: tuple[str, ...]
    values: dict[str, Any]
    audited: audit.Entry | None

    @property
    def key(self) -> tuple[str, str, int]:
        """What a record is known by: call, producer, sequence."""
        return (self.call_id, self.values["producer"], self.values["sequence"])


def row(record: session_pb2.Record) -> Row:
    """The row of `record`. Raises ValueError, naming no content, for one that is no record."""
    kind = record.WhichOneof("fact")
    if kind is None:
        raise ValueError("holds no fact this release knows")
    for name in ("call_id", "producer"):
        if not 0 < len(getattr(record, name)) <= _ID_MAX:
            raise ValueError(f"{name} has not 1 to {_ID_MAX} characters")
    if not 0 < record.sequence < 2**63:
        raise ValueError("sequence is not from 1 to 2^63-1")
    try:
        at = datetime.fromtimestamp(record.at_unix_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise ValueError("at_unix_ms is no time") from error
    fact = getattr(record, kind)
    values = {field.name: getattr(fact, field.name) for field in fact.DESCRIPTOR.fields}
    # A producer is named for its lane, "pipeline@cpu-0/1": good enough until CallOpened tells.
    lane = fact.lane if kind == "call_opened" else record.producer.partition("@")[2].partition("/")[0]
    common = {
        "call_id": record.call_id,
        "producer": record.producer,
        "sequence": record.sequence,
        "kind": kind,
        "at": at,
    }
    detail = _AUDITED[kind](fact) if kind in _AUDITED else None
    entry = audit.Entry(kind, record.call_id, detail=detail) if detail is not None else None
    statements = (kind, *_MORE.get(kind, ()))
    return Row(record.call_id, lane, kind, at, statements, {**values, **common}, entry)


def set_aside_values(record: session_pb2.Record, reason: str) -> dict[str, Any]:
    """What is kept of a record that cannot be stored. Unknown fields may hold anything, so they go."""
    kept = session_pb2.Record()
    kept.CopyFrom(record)
    kept.DiscardUnknownFields()
    return {
        "call_id": _clean(record.call_id),
        "producer": _clean(record.producer),
        "sequence": record.sequence,
        "kind": record.WhichOneof("fact") or "",
        "reason": reason,
        "record": kept.SerializeToString(),
    }


def _clean(text: str) -> str:
    """PostgreSQL's text holds no NUL; a broken record must not stop its own burial."""
    return text.replace("\x00", "�")[:_ID_MAX]
