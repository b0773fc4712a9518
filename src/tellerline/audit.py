"""The audit chain: entries nobody can change unseen, written in the transaction of what they tell of.

Every entry carries a MAC over its content, its position and the MAC before it, under a key that is not in the
database. The daemons' roles may add entries and nothing else (0002_audit.sql). Who cuts entries off the end
leaves a chain that is whole; therefore the newest position and MAC, signed, are also kept in a folder outside
the database (`audit_heads`), and `audit_verification` compares.

Session and banking use it alike:

    key = audit.read_key(settings.audit_key)
    chain = audit.Chain(key, service="banking")
    async with pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        ...  # the row that tells the same
        entry = audit.Entry("transfer_intended", call_id, key.pseudonym(customer_id), {"amount": 12_500})
        head = await chain.append(cursor, entry)
    heads.keep(head)  # optional: a cut tail shows from here on, otherwise within a minute
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from tellerline.errors import AuditError
from tellerline.monitoring import metrics

# `previous` of the first entry.
BEGINNING = b"\x00" * 32
_KEY_BYTES = 32
_DETAIL_MAX_CHARACTERS = 4000
_TAIL = "SELECT newest, mac, at, isolation FROM audit.tail()"
_INSERT = """
INSERT INTO audit.entry (position, at, service, action, call_id, subject, detail, key_id, previous, mac)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

Scalar = str | int | bool | None


@dataclass(frozen=True)
class Entry:
    """What happened. Never a customer number, name, telephone number, digit or sentence: those as pseudonyms.

    Actions are past tense ("pin_accepted", "card_blocked", "transfer_intended"); `subject` is a pseudonym;
    `detail` holds whole minor units, outcomes and the bank's references.
    """

    action: str
    call_id: str | None = None
    subject: str | None = None
    detail: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """The newest entry of the chain at some moment: enough to tell later that it, or one before, is gone."""

    position: int
    mac: bytes


class AuditKey:
    """The site's audit keys: the newest signs, all verify, the first makes pseudonyms, which so last."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        """`keys`: 32 bytes each, oldest first. Raises AuditError where there is none or one is short."""
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise AuditError(
                "audit: a key is 32 bytes, at least one is needed; make one with `openssl rand -base64 32`"
            )
        self._chain = {_key_id(key): _derive(key, b"chain") for key in keys}
        self._heads = {_key_id(key): _derive(key, b"heads") for key in keys}
        self._pseudonyms = _derive(keys[0], b"pseudonyms")
        self.current_id = _key_id(keys[-1])

    def __repr__(self) -> str:
        """Names the key in use; never shows it."""
        return f"AuditKey({self.current_id})"

    def pseudonym(self, identifier: str, kind: str = "customer") -> str:
        """A lasting name for `identifier` only a holder of the key can make: "customer:" and 32 hex digits.

        HMAC-SHA256: short identifiers cannot be found by trying (PCI DSS 4.0.1, 3.5.1.1; GDPR Art. 4(5)).
        """
        message = json.dumps([kind, identifier]).encode()
        return f"{kind}:{hmac.new(self._pseudonyms, message, hashlib.sha256).hexdigest()[:32]}"

    def entry_mac(self, key_id: str, fields: tuple[Any, ...]) -> bytes | None:
        """The MAC of an entry's `fields` under key `key_id`; None for a key this site does not know."""
        return _mac(self._chain.get(key_id), fields)

    def head_mac(self, key_id: str, fields: tuple[Any, ...]) -> bytes | None:
        """The MAC of a kept head's `fields` under key `key_id`; None for a key this site does not know."""
        return _mac(self._heads.get(key_id), fields)


def read_key(path: Path) -> AuditKey:
    """The keys in the file `path`: base64, 32 bytes a line, oldest first; the last one signs.

    Raises AuditError when the file cannot be read or holds anything else.
    """
    try:
        lines = path.read_text(encoding="ascii").split()
        return AuditKey(tuple(base64.b64decode(line, validate=True) for line in lines))
    except OSError as error:
        raise AuditError(f"audit: {path}: cannot be read ({error.strerror}); give the audit key") from error
    except (UnicodeDecodeError, binascii.Error) as error:
        raise AuditError(
            f"audit: {path}: is not base64; make a key with `openssl rand -base64 32`"
        ) from error


class Chain:
    """Adds entries on behalf of one service, from any number of instances at once."""

    def __init__(self, key: AuditKey, service: str) -> None:
        self._key = key
        self._service = service

    async def append(self, cursor: psycopg.AsyncCursor[Any], entry: Entry) -> Head:
        """Adds `entry` within the transaction `cursor` is in; it exists once that commits, and not before.

        Holds the chain's lock until the transaction ends, so append last and commit at once: everybody else
        who appends is waiting. 4.5 ms with its commit (p50, two busy cores; 250 a second with 8 writers). The
        server ends a transaction that holds the lock and idles for 5 s, and one that waits for 8 s.

        Raises AuditError for an entry that is not fit to be kept, or outside a READ COMMITTED transaction (a
        snapshot from before the lock would not show the newest entry).
        """
        connection = cursor.connection
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS:
            raise AuditError("audit: append within the transaction of what is told; none is open")
        detail = _canonical(entry)
        async with connection.cursor(row_factory=tuple_row) as own:
            await own.execute(_TAIL)
            row = await own.fetchone()
            assert row is not None
            position, previous, at, isolation = row
            if isolation != "read committed":
                raise AuditError(f"audit: append at READ COMMITTED, the transaction is {isolation.upper()}")
            record = Record(
                position=(position or 0) + 1,
                at=at,
                service=self._service,
                action=entry.action,
                call_id=entry.call_id,
                subject=entry.subject,
                detail=detail,
                key_id=self._key.current_id,
                previous=previous or BEGINNING,
            )
            mac = self._key.entry_mac(record.key_id, record.signed())
            assert mac is not None
            await own.execute(_INSERT, (*record.columns(), mac))
        metrics.AUDIT_ENTRIES.labels(service=self._service).inc()
        return Head(record.position, mac)


@dataclass(frozen=True)
class Record:
    """One row of audit.entry, less its MAC."""

    position: int
    at: datetime
    service: str
    action: str
    call_id: str | None
    subject: str | None
    detail: str
    key_id: str
    previous: bytes

    def columns(self) -> tuple[Any, ...]:
        """The row in the table's order."""
        return (
            self.position,
            self.at,
            self.service,
            self.action,
            self.call_id,
            self.subject,
            self.detail,
            self.key_id,
            self.previous,
        )

    def signed(self, position: int | None = None) -> tuple[Any, ...]:
        """What the MAC covers, as JSON has it. `position`: as if the entry stood there."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        place = self.position if position is None else position
        rest = (self.service, self.action, self.call_id, self.subject, self.detail, self.key_id)
        return ("entry", 1, place, at, *rest, self.previous.hex())


def _canonical(entry: Entry) -> str:
    if (
        not entry.action
        or not entry.action.replace("_", "").isalnum()
        or entry.action != entry.action.lower()
    ):
        raise AuditError(f"audit: action {entry.action!r}: name what happened in lower case, as card_blocked")
    if entry.subject is not None and ":" not in entry.subject:
        raise AuditError("audit: a subject is a pseudonym, made with AuditKey.pseudonym")
    wrong = [name for name, value in entry.detail.items() if not isinstance(value, str | int | None)]
    if wrong:
        raise AuditError(f"audit: detail {', '.join(wrong)}: only text, whole numbers, true, false and null")
    text = json.dumps(dict(entry.detail), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if len(text) > _DETAIL_MAX_CHARACTERS or "\\u0000" in text:
        raise AuditError(
            f"audit: detail of {entry.action}: at most {_DETAIL_MAX_CHARACTERS} characters, no NUL"
        )
    return text


def _key_id(key: bytes) -> str:
    return _derive(key, b"name").hex()[:8]


def _derive(key: bytes, purpose: bytes) -> bytes:
    """A key for each purpose: one HKDF-Expand block (RFC 5869), the file's key being uniform already."""
    return hmac.new(key, b"tellerline audit " + purpose + b"\x01", hashlib.sha256).digest()


def _mac(key: bytes | None, fields: tuple[Any, ...]) -> bytes | None:
    if key is None:
        return None
    return hmac.new(key, json.dumps(fields, separators=(",", ":")).encode(), hashlib.sha256).digest()
