"""Keys derived from the site's audit key: pseudonyms, sealed values, and the tokens of quotes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tellerline.errors import SettingsError

_KEY_BYTES = 32
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value was not made with this key for this context: forged, moved, or of another site."""


def read_key(path: Path) -> bytes:
    """The 32 bytes that `path` holds in base64.

    Raises SettingsError naming the file and what would be right.
    """
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except OSError as error:
        raise SettingsError(f"audit_key: {path} cannot be read ({error.strerror})") from error
    except binascii.Error as error:
        raise SettingsError(f"audit_key: {path} is not base64; give 32 bytes in base64") from error
    if len(key) != _KEY_BYTES:
        raise SettingsError(f"audit_key: {path} holds {len(key)} bytes; give 32 bytes in base64")
    return key


class Sealing:
    """Derives one key a purpose from `master` (32 bytes) by HKDF-Expand (RFC 5869)."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._box = AESGCM(self._derive("seal"))
        self._pseudonyms = self._derive("pseudonym")
        self._tokens = self._derive("token")

    def pseudonym(self, kind: str, value: str) -> str:
        """32 hexadecimal digits that stand for `value`; the same ones each time, telling nothing without the key."""
        return self._mac(self._pseudonyms, (kind, value)).hex()[:32]

    def token(self, *fields: str) -> bytes:
        """A code bound to all of `fields` and their order."""
        return self._mac(self._tokens, fields)

    def good_token(self, token: bytes, *fields: str) -> bool:
        """Whether `token` was made of `fields`, in time that does not depend on how much of it is right."""
        return hmac.compare_digest(token, self.token(*fields))

    def seal(self, value: bytes, context: str) -> bytes:
        """Encrypts `value` (AES-256-GCM) so that only `open` with the same context reads it."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._box.encrypt(nonce, value, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """What was sealed. Raises SealBroken."""
        try:
            return self._box.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error

    def _derive(self, purpose: str) -> bytes:
        return HKDFExpand(SHA256(), _KEY_BYTES, f"tellerline banking {purpose} 1".encode()).derive(self._master)

    @staticmethod
    def _mac(key: bytes, fields: tuple[str, ...]) -> bytes:
        # Each field behind its length: ("ab", "c") and ("a", "bc") differ.
        code = hmac.new(key, digestmod=hashlib.sha256)
        for field in fields:
            data = field.encode()
            code.update(len(data).to_bytes(4, "big") + data)
        return code.digest()
