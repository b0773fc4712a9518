"""Reads the whole audit chain and tells what was edited, deleted, reordered, slipped in or cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from tellerline.audit import BEGINNING, AuditKey, Record
from tellerline.audit_heads import KeptHead

_EVERY_ENTRY = """
SELECT position, at, service, action, call_id, subject, detail, key_id, previous, mac
FROM audit.entry ORDER BY position
"""
# How far from its place a moved entry is looked for, and in how many entries; else it counts as edited.
_MOVED_WITHIN = 1000
_MOVED_SOUGHT = 100
# Findings told one by one; the others are counted. A database restored from elsewhere fails in every row.
_TOLD_MAX = 1000


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `kind` is one of KINDS; `position` is the entry's, 0 where there is none."""

    kind: str
    position: int
    text: str


# What each kind of finding means.
KINDS = {
    "edited": "an entry's content is not what was signed, or nobody with the key wrote it",
    "deleted": "entries are missing between two others",
    "reordered": "an entry stands where it was not written",
    "cut": "entries are missing at the end: a kept head is newer than the newest entry",
    "replaced": "a kept head names another entry at its position",
    "head": "a line of a heads file is damaged or not signed with a key of this site",
    "unattended": "there are entries and not one genuine kept head: a cut tail would not show",
    "unknown_key": "an entry names a key that the key file does not hold",
}


@dataclass
class Report:
    """What verification saw."""

    entries: int = 0
    # Position and time of the newest entry; 0 and "" for an empty chain.
    newest: int = 0
    newest_at: str = ""
    heads: int = 0
    # Position of the newest genuine head: the tail is proven up to here.
    newest_head: int = 0
    findings: list[Finding] = field(default_factory=list)
    # Findings beyond those listed.
    untold: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, kind: str, position: int, text: str) -> None:
        """Notes a finding."""
        if len(self.findings) < _TOLD_MAX:
            self.findings.append(Finding(kind, position, text))
        else:
            self.untold += 1


async def verify(connection: psycopg.AsyncConnection[Any], key: AuditKey, kept: Iterable[KeptHead]) -> Report:
    """Checks every entry of the chain, and the chain against the `kept` heads.

    `connection`: in no transaction, of a role that may read audit.entry. Reads in one snapshot while others
    append, a thousand rows at a time. Heads must be read before the entries, as `audit_heads.read` given here
    is: a head kept later may be newer than the snapshot.
    """
    report = Report()
    heads = _by_position(kept, report)
    walk = _Walk(key, report)
    async for record, mac in _entries(connection):
        walk.step(record, mac)
        for head in heads.pop(record.position, ()):
            if head.mac != mac:
                report.add(
                    "replaced", record.position, f"entry {record.position}: {_place(head)} names another"
                )
    for position in sorted(heads):
        head = heads[position][0]
        if position > report.newest:
            text = (
                f"{_place(head)} names entry {position} of {head.at}; the newest there is is {report.newest}"
            )
            report.add("cut", position, text)
    if report.entries and not report.newest_head:
        report.add("unattended", 0, "no genuine kept head: a cut tail would not show")
    return report


class _Walk:
    """Goes from entry to entry, in the order of their positions."""

    def __init__(self, key: AuditKey, report: Report) -> None:
        self._key = key
        self._report = report
        self._expected = 1
        self._previous = BEGINNING
        self._sought = 0

    def step(self, record: Record, mac: bytes) -> None:
        report, position = self._report, record.position
        report.entries += 1
        report.newest, report.newest_at = position, record.signed()[3]
        if position != self._expected:
            gone = (
                f"{self._expected}"
                if position == self._expected + 1
                else f"{self._expected} to {position - 1}"
            )
            report.add("deleted", self._expected, f"missing: {gone}")
        signed = self._key.entry_mac(record.key_id, record.signed())
        if signed is None:
            report.add(
                "unknown_key", position, f"entry {position}: signed with key {record.key_id}, not in the file"
            )
        elif signed != mac:
            self._wrong(record, mac)
        elif position == self._expected and record.previous != self._previous:
            # Signed at its place, but after another entry: the one before it was exchanged.
            report.add("edited", position, f"entry {position}: follows another entry than the one before it")
        self._expected, self._previous = position + 1, mac

    def _wrong(self, record: Record, mac: bytes) -> None:
        position = record.position
        if self._sought < _MOVED_SOUGHT:
            self._sought += 1
            for place in range(max(1, position - _MOVED_WITHIN), position + _MOVED_WITHIN):
                if self._key.entry_mac(record.key_id, record.signed(place)) == mac:
                    self._report.add("reordered", position, f"entry {position}: was written as entry {place}")
                    return
        self._report.add("edited", position, f"entry {position}: is not what was signed")


async def _entries(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[tuple[Record, bytes]]:
    async with (
        connection.transaction(),
        connection.cursor("audit_verification", row_factory=tuple_row) as cursor,
    ):
        cursor.itersize = 1000
        await cursor.execute(_EVERY_ENTRY)
        async for row in cursor:
            yield Record(*row[:-1]), row[-1]


def _by_position(kept: Iterable[KeptHead], report: Report) -> dict[int, list[KeptHead]]:
    heads: dict[int, list[KeptHead]] = {}
    for head in kept:
        report.heads += 1
        if head.genuine:
            heads.setdefault(head.position, []).append(head)
            report.newest_head = max(report.newest_head, head.position)
        else:
            report.add("head", head.position, f"{_place(head)} is damaged or not signed by this site")
    return heads


def _place(head: KeptHead) -> str:
    return f"{head.file} line {head.line}"
