"""Recordings of consenting callers: both sides of a call, encrypted as they are written.

A file holds 8,000 Hz 16-bit stereo PCM, the caller left and the bot right, in chunks of about a second:

    header   16 bytes   "TLREC", 0x01, ten zeros; then 16 bytes, the call id (a UUID)
    chunk     4 bytes   flags (0x01: the last one) and, in three bytes, the length of what follows
              n bytes   AES-256-GCM ciphertext and its tag (NIST SP 800-38D)

A chunk's nonce is its number and the additional data are the header, that number and its four bytes, so a
chunk can be neither moved, nor left out, nor carried into another call, and a cut tail shows. Every call
has a key of its own, used for one file; it is stored nowhere but wrapped by the site's key, with the call's
record. Without that record the file is noise: destroying the wrapped key erases the recording.
"""

from __future__ import annotations

import array
import base64
import binascii
import os
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tellerline.connector.media import RATE_HZ, SILENCE
from tellerline.errors import RecordingError, SettingsError
from tellerline.settings import RecordingSettings

SUFFIX = ".tlrec"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_MAGIC = b"TLREC\x01".ljust(16, b"\0")
_HEADER_BYTES = len(_MAGIC) + 16
_LAST = 0x01
_CHANNEL_BYTES_PER_SECOND = 2 * RATE_HZ
# What stays in memory before it is written: a keypad tone that ran ahead of its event can still be taken out.
_HELD_BACK_BYTES = _CHANNEL_BYTES_PER_SECOND // 2


class SiteKey:
    """The site's key, which wraps each call's own."""

    def __init__(self, settings: RecordingSettings) -> None:
        """Reads the key file. Raises SettingsError."""
        self.key_id = settings.key_id
        path = settings.site_key
        try:
            key = base64.b64decode(path.read_bytes().strip(), validate=True)
        except OSError as error:
            raise SettingsError(f"recording.site_key: {path}: {error.strerror}") from error
        except binascii.Error as error:
            raise SettingsError(f"recording.site_key: {path}: is not base64") from error
        if len(key) != _KEY_BYTES:
            raise SettingsError(
                f"recording.site_key: {path}: holds {len(key)} bytes, must be {_KEY_BYTES}; "
                "make one with `head -c 32 /dev/urandom | base64`"
            )
        self._cipher = AESGCM(key)

    def wrap(self, key: bytes, call_id: str) -> bytes:
        """`key` under the site's, bound to the call."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, self._bound_to(call_id))

    def unwrap(self, wrapped: bytes, call_id: str) -> bytes:
        """The call's key. Raises RecordingError when it is another call's or another site key's."""
        try:
            return self._cipher.decrypt(
                wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], self._bound_to(call_id)
            )
        except (InvalidTag, ValueError) as error:
            raise RecordingError(
                f"the key of call {call_id} does not open with site key {self.key_id}; "
                "give the site key it was wrapped with"
            ) from error

    def _bound_to(self, call_id: str) -> bytes:
        return f"tellerline recording {self.key_id} {call_id}".encode()


class RecordingFile:
    """The file of one call, being written. Every method blocks on the disk: call them from a thread."""

    def __init__(self, path: Path, call_id: str, key: bytes) -> None:
        self._path = path
        self._header = _header(call_id)
        self._cipher = AESGCM(key)
        self._chunks = 0
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Makes the file, readable by this user alone. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._file.write(self._header)

    def write(self, caller: bytes, bot: bytes, last: bool = False) -> None:
        """Appends as much of both sides; the last chunk may be empty. Raises OSError."""
        assert self._file is not None
        plain = _interleaved(caller, bot)
        head = bytes((_LAST if last else 0,)) + (len(plain) + _TAG_BYTES).to_bytes(3, "big")
        nonce, bound = _nonce_and_bound(self._header, self._chunks, head)
        # One write: a crash leaves a whole chunk or a torn one, which the reader sees.
        self._file.write(head + self._cipher.encrypt(nonce, plain, bound))
        self._chunks += 1

    def close(self) -> int:
        """Makes it durable; returns its size in bytes. Raises OSError."""
        assert self._file is not None
        with self._file as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size


class Recorder:
    """What one call's two sides have sounded like and is not written yet. Lives on the loop.

    `write(caller, bot)` takes a chunk of both sides, of the same length.
    """

    def __init__(self, write: Callable[[bytes, bytes], None]) -> None:
        self._write = write
        self._caller, self._bot = bytearray(), bytearray()
        self._samples = 0
        # Asked not to record for now: the gap is silence, so that times still agree.
        self.paused = False

    @property
    def seconds(self) -> float:
        """How much was recorded."""
        return self._samples / RATE_HZ

    def add(self, caller: bytes, bot: bytes, gap: bool = False) -> None:
        """20 ms of both sides; silence instead of them while paused or where `gap`."""
        gap = gap or self.paused
        self._caller += SILENCE if gap else caller
        self._bot += SILENCE if gap else bot
        self._samples += len(SILENCE) // 2
        if len(self._caller) >= _CHANNEL_BYTES_PER_SECOND + _HELD_BACK_BYTES:
            self._pass_on(_CHANNEL_BYTES_PER_SECOND)

    def blank(self, seconds: float) -> None:
        """Takes back the caller's last sound, at most half a second of it."""
        count = min(len(self._caller), 2 * int(seconds * RATE_HZ), _HELD_BACK_BYTES)
        if count:
            self._caller[-count:] = bytes(count)

    def rest(self) -> tuple[bytes, bytes]:
        """What has not been passed on, once the call is over."""
        rest = bytes(self._caller), bytes(self._bot)
        self._caller.clear()
        self._bot.clear()
        return rest

    def _pass_on(self, count: int) -> None:
        self._write(bytes(self._caller[:count]), bytes(self._bot[:count]))
        del self._caller[:count], self._bot[:count]


def new_key() -> bytes:
    """A call's own key."""
    return AESGCM.generate_key(8 * _KEY_BYTES)


def read(path: Path, call_id: str, key: bytes) -> Iterator[tuple[bytes, bool]]:
    """The chunks of a recording in order, as stereo PCM, with whether each is the last.

    Raises RecordingError where a chunk was altered, moved or is of another call. A recording that was cut
    off ends without a last chunk.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        if header != _header(call_id):
            raise RecordingError(f"{path}: is no recording of call {call_id}")
        cipher = AESGCM(key)
        for number, (head, sealed) in enumerate(_frames(file)):
            nonce, bound = _nonce_and_bound(header, number, head)
            try:
                yield cipher.decrypt(nonce, sealed, bound), bool(head[0] & _LAST)
            except InvalidTag as error:
                raise RecordingError(
                    f"{path}: second {number} was altered, or the key is another recording's"
                ) from error


def export(path: Path, call_id: str, key: bytes, wav: Path) -> bool:
    """Writes a recording as WAV, readable by this user alone; returns whether it was complete.

    Raises RecordingError as `read`, and then leaves no file.
    """
    complete = False
    descriptor = os.open(wav, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as raw, wave.open(raw, "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            for pcm, last in read(path, call_id, key):
                file.writeframes(pcm)
                complete = last
    except BaseException:
        wav.unlink()
        raise
    return complete


def measure(path: Path) -> tuple[float, int]:
    """Seconds and bytes of a recording that a crash cut off, by its whole chunks; no key is needed.

    Nothing at all where there is no such file.
    """
    try:
        with path.open("rb") as file:
            file.seek(_HEADER_BYTES)
            plain_bytes = sum(len(sealed) - _TAG_BYTES for _, sealed in _frames(file))
            return plain_bytes / (2 * _CHANNEL_BYTES_PER_SECOND), path.stat().st_size
    except OSError:
        return 0.0, 0


def _frames(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while len(head := file.read(4)) == 4:
        length = int.from_bytes(head[1:], "big")
        sealed = file.read(length)
        if len(sealed) < length or length < _TAG_BYTES:
            return
        yield head, sealed


def _header(call_id: str) -> bytes:
    return _MAGIC + bytes.fromhex(call_id)


def _nonce_and_bound(header: bytes, number: int, head: bytes) -> tuple[bytes, bytes]:
    nonce = number.to_bytes(_NONCE_BYTES, "big")
    return nonce, header + nonce + head


def _interleaved(left: bytes, right: bytes) -> bytes:
    both = array.array("h", bytes(2 * len(left)))
    both[0::2], both[1::2] = array.array("h", left), array.array("h", right)
    return both.tobytes()
