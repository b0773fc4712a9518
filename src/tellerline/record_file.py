"""Files of length-delimited records that survive a kill -9 at any byte.

A record is framed by its length and CRC-32 (both 32 bits, big-endian). The process that writes a file holds
a lock on it (flock(2)), so another can tell what a dead one left.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from tellerline.errors import SpoolError

log = logging.getLogger(__name__)

_FRAME = struct.Struct(">II")
_SUFFIX = ".records"


class RecordFile:
    """One file, locked while this object lives. Every method raises SpoolError where the disk refuses."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self.unsynced = False

    @classmethod
    def create(cls, folder: Path) -> RecordFile:
        """A new file in `folder`, which is made when it is not there, for this user alone."""
        path = folder / f"{time.time_ns():020d}-{os.getpid()}{_SUFFIX}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SpoolError(f"{path}: {error.strerror}; make the folder writable") from error
        return cls(path, descriptor)

    def append(self, data: bytes) -> None:
        """Writes one record, whole or not at all; durable against power loss after `sync`."""
        frame = _FRAME.pack(len(data), zlib.crc32(data)) + data
        try:
            written = os.write(self._descriptor, frame)
            if written != len(frame):
                raise OSError(28, "disk full")
        except OSError as error:
            # Half a frame would hide every later one.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise SpoolError(f"{self._path}: {error.strerror}; free space or repair the disk") from error
        self._size += len(frame)
        self.unsynced = True

    def sync(self) -> None:
        """Makes what was written durable. Blocks on the disk."""
        self.unsynced = False
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise SpoolError(f"{self._path}: {error.strerror}; repair the disk") from error

    def empty(self) -> None:
        """Drops every record."""
        if self._size == 0:
            return
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise SpoolError(f"{self._path}: {error.strerror}") from error
        self._size = 0

    def records(self) -> Iterator[bytes]:
        """Every whole record, oldest first. What follows a damaged one cannot be told and is left out."""
        data = os.pread(self._descriptor, self._size, 0)
        at = 0
        for body in _whole(data):
            yield body
            at += _FRAME.size + len(body)
        if at < len(data):
            log.warning("%s: %d bytes at the end are no record", self._path, len(data) - at)

    def remove(self) -> None:
        """Removes the file, and closes it."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise SpoolError(f"{self._path}: {error.strerror}") from error
        self.close()

    def close(self) -> None:
        """Closes the file, unlocked; an empty one is removed."""
        if self._size == 0:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def left_behind(folder: Path) -> list[RecordFile]:
    """The files in `folder` that no living process writes, oldest first, locked from now on."""
    files: list[RecordFile] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise SpoolError(f"{path}: {error.strerror}; make it readable") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            continue
        files.append(RecordFile(path, descriptor))
    return files


def seen(folder: Path) -> list[bytes]:
    """Every record in `folder` at this moment, also in files that are being written; changes nothing."""
    found: list[bytes] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        # Removed or emptied meanwhile: what it held is stored.
        with contextlib.suppress(FileNotFoundError):
            found += _whole(path.read_bytes())
    return found


def _whole(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        head = data[at : at + _FRAME.size]
        if len(head) < _FRAME.size:
            return
        length, checksum = _FRAME.unpack(head)
        body = data[at + _FRAME.size : at + _FRAME.size + length]
        if len(body) < length or zlib.crc32(body) != checksum:
            return
        yield body
        at += _FRAME.size + length
