"""SRTP (RFC 3711) with AES_CM_128_HMAC_SHA1_80, for a test's telephone: the trunk's side of rtpengine."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_TAG = 10
# Key derivation labels of RFC 3711, 4.3.1.
_ENCRYPTION, _AUTHENTICATION, _SALT = 0, 1, 2


def _stream(key: bytes, start: int, length: int) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16, "big"))).encryptor()
    return encryptor.update(bytes(length))


class Keys:
    """The keys of one direction, from the `inline:` of an a=crypto line."""

    def __init__(self, inline: str | None = None) -> None:
        master = base64.b64decode(inline) if inline else os.urandom(30)
        self.inline = base64.b64encode(master).decode()
        key, salt = master[:16], int.from_bytes(master[16:30], "big")
        self._key, self._auth, salt_bytes = (
            _stream(key, (salt ^ (label << 48)) << 16, length)
            for label, length in ((_ENCRYPTION, 16), (_AUTHENTICATION, 20), (_SALT, 14))
        )
        self._salt = int.from_bytes(salt_bytes, "big")

    def _crypt(self, packet: bytes, rollovers: int) -> bytes:
        ssrc = int.from_bytes(packet[8:12], "big")
        index = (rollovers << 16) | int.from_bytes(packet[2:4], "big")
        start = (self._salt << 16) ^ (ssrc << 64) ^ (index << 16)
        stream = _stream(self._key, start, len(packet) - 12)
        return packet[:12] + bytes(a ^ b for a, b in zip(packet[12:], stream, strict=True))

    def _tag(self, encrypted: bytes, rollovers: int) -> bytes:
        return hmac.digest(self._auth, encrypted + rollovers.to_bytes(4, "big"), hashlib.sha1)[:_TAG]

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet without extensions, encrypted and signed."""
        encrypted = self._crypt(packet, 0)
        return encrypted + self._tag(encrypted, 0)

    def unprotect(self, packet: bytes) -> bytes:
        """The RTP packet. Raises ValueError for a wrong tag."""
        encrypted, tag = packet[:-_TAG], packet[-_TAG:]
        # A call of seconds that begins near 65535 goes over it once.
        for rollovers in (0, 1):
            if hmac.compare_digest(tag, self._tag(encrypted, rollovers)):
                return self._crypt(encrypted, rollovers)
        raise ValueError("an SRTP packet that is not from who has the key")


class SecureSocket:
    """A UDP socket whose packets are encrypted with `mine` and decrypted with `theirs`."""

    def __init__(self, plain: socket.socket, mine: Keys, theirs: Keys) -> None:
        self._plain, self._mine, self._theirs = plain, mine, theirs
        self.foreign = 0

    def fileno(self) -> int:
        return self._plain.fileno()

    def sendto(self, packet: bytes, to: tuple[str, int]) -> int:
        return self._plain.sendto(self._mine.protect(packet), to)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        """One packet in clear; an empty one for what could not be decrypted."""
        data, source = self._plain.recvfrom(size)
        try:
            return self._theirs.unprotect(data), source
        except ValueError:
            self.foreign += 1
            return b"", source
