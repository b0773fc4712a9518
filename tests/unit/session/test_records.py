"""Which records can be stored, and as what."""

from __future__ import annotations

from typing import Any

import pytest

from tellerline.rpc import session_pb2 as pb
from tellerline.session import postgres, records


def record(**over: Any) -> pb.Record:
    fields = {
        "call_id": "c",
        "producer": "pipeline@cpu-0/1",
        "sequence": 1,
        "at_unix_ms": 1_700_000_000_000,
        "consent_given": pb.ConsentGiven(recording=True),
    }
    return pb.Record(**{**fields, **over})


@pytest.mark.parametrize(
    "over",
    [
        {"call_id": ""},
        {"call_id": "x" * 201},
        {"producer": ""},
        {"sequence": 0},
        {"sequence": 2**63},
        {"at_unix_ms": 2**62},
        {"consent_given": None},
    ],
)
def test_what_is_no_record_is_told_so(over: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        records.row(record(**over))


@pytest.mark.parametrize(
    ("producer", "lane"), [("pipeline@cpu-0/1", "cpu-0"), ("connector@gpu-1-2", "gpu-1-2"), ("other", "")]
)
def test_lane_is_in_the_producers_name(producer: str, lane: str) -> None:
    assert records.row(record(producer=producer)).lane == lane


@pytest.mark.parametrize("fact", [field.name for field in pb.Record.DESCRIPTOR.oneofs_by_name["fact"].fields])
def test_every_fact_has_its_statements(fact: str) -> None:
    given = record(consent_given=None)
    getattr(given, fact).SetInParent()
    for statement in records.row(given).statements:
        assert statement in postgres.SQL


def test_unknown_fields_are_not_set_aside() -> None:
    # A field of a later release: 99, a string. Nobody here knows whether it had to be redacted.
    unknown = pb.Record.FromString(record().SerializeToString() + b"\x9a\x06\x06secret")
    assert b"secret" in unknown.SerializeToString()
    assert b"secret" not in records.set_aside_values(unknown, "why")["record"]
