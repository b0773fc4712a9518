"""Keys derived from the site's audit key: pseudonyms, sealed values, and the tokens of quotes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tellerline import audit

_KEY_BYTES = 32
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value was not made with this key for this context: forged, moved, or of another site."""


def read_sealing(path: Path) -> Sealing:
    """Sealing under the site's audit keys: base64, 32 bytes a line, oldest first.

    Raises AuditError naming the file and what would be right.
    """
    pseudonyms = audit.read_key(path)
    return Sealing(
        tuple(base64.b64decode(line) for line in path.read_text(encoding="ascii").split()), pseudonyms
    )


class Sealing:
    """One key a purpose out of each of `keys`, by HKDF-Expand (RFC 5869). The newest makes, all read."""

    def __init__(self, keys: tuple[bytes, ...], pseudonyms: audit.AuditKey) -> None:
        self._boxes = [AESGCM(_derive(key, "seal")) for key in reversed(keys)]
        self._tokens = [_derive(key, "token") for key in reversed(keys)]
        self._pseudonyms = pseudonyms

    def pseudonym(self, kind: str, value: str) -> str:
        """`kind` and 32 hexadecimal digits that stand for `value`; the audit's own (audit.AuditKey)."""
        return self._pseudonyms.pseudonym(value, kind)

    def token(self, *fields: str) -> bytes:
        """A code bound to all of `fields` and their order."""
        return _mac(self._tokens[0], fields)

    def good_token(self, token: bytes, *fields: str) -> bool:
        """Whether `token` was made of `fields`, in time that does not depend on how much of it is right."""
        return any([hmac.compare_digest(token, _mac(key, fields)) for key in self._tokens])

    def seal(self, value: bytes, context: str) -> bytes:
        """Encrypts `value` (AES-256-GCM) so that only `open` with the same context reads it."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._boxes[0].encrypt(nonce, value, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """What was sealed. Raises SealBroken."""
        for box in self._boxes:
            try:
                return box.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
            except (InvalidTag, ValueError):
                continue
        raise SealBroken


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDFExpand(SHA256(), _KEY_BYTES, f"tellerline banking {purpose} 1".encode()).derive(key)


def _mac(key: bytes, fields: tuple[str, ...]) -> bytes:
    # Each field behind its length: ("ab", "c") and ("a", "bc") differ.
    code = hmac.new(key, digestmod=hashlib.sha256)
    for field in fields:
        data = field.encode()
        code.update(len(data).to_bytes(4, "big") + data)
    return code.digest()
