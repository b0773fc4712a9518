"""Durable call records: one JSON file for every answered call, whatever dies.

`<spool>/<call_id>.json` is written, fsynced and named before the 200 OK leaves, and replaced as a whole
when the call ends, so a reader never sees half a record. Its keys:

    version          1
    state            "open" while the call runs, "closed", or "orphaned": the connector died during it
    call_id, sip_call_id, lane, caller, called
    opened_at        RFC 3339 UTC, when the record was made, just before the 200 OK
    closed_at        null while open; for an orphan, when its record was found
    reason           null while open; "caller", "goodbye", "pipeline_lost", "rtp_silence", "transferred",
                     "drained", "no_ack", a word from the pipeline, or "lost" for an orphan
    talk_seconds     ACK to end
    codec            "PCMU" or "PCMA", null before media
    attaches         times a pipeline had the call (more than 1: one died)
    digits           how many keys were pressed; never which
    underrun_ticks   20 ms holes in the bot's sentences
    transfer_status  last SIP status of a transfer, null without one
    recording        null where nothing was recorded, else what `Recorded` says: among it the call's key,
                     wrapped, which is on this disk until the session service has it

`collector.py` sends the records to the session service and deletes what is stored there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tellerline.errors import SpoolError

log = logging.getLogger(__name__)

VERSION = 1
# Below this the lane takes no new calls; a record is under 1 KiB, so running calls still close theirs.
_FREE_BYTES_MIN = 4 * 1024 * 1024


def now() -> str:
    """The time as records hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Recorded:
    """The recording of a call."""

    # Name inside the recordings folder of `host`.
    file: str
    host: str
    # The call's key under the site key `key_id`, in base64.
    wrapped_key: str
    key_id: str
    started_at: str
    # Null while the call runs; for one a crash cut off, when that was found.
    ended_at: str | None = None
    seconds: float = 0.0
    bytes: int = 0
    complete: bool = False


@dataclass(frozen=True)
class CallRecord:
    """One call; the module docstring says what each field means."""

    call_id: str
    sip_call_id: str
    lane: str
    caller: str
    called: str
    opened_at: str
    version: int = VERSION
    state: str = "open"
    closed_at: str | None = None
    reason: str | None = None
    talk_seconds: float = 0.0
    codec: str | None = None
    attaches: int = 0
    digits: int = 0
    underrun_ticks: int = 0
    transfer_status: int | None = None
    recording: Recorded | None = None


class Spool:
    """The folder of records. Every method blocks on the disk: call them from a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._damaged: set[str] = set()

    def prepare(self, mend: Callable[[CallRecord], CallRecord] = lambda record: record) -> int:
        """Makes the folder and closes what a crash left open; returns how many records were orphans.

        `mend` may add to an orphan what else is known of it. Raises SpoolError when the folder cannot be
        used.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for partial in self._folder.glob(".*.part"):
                partial.unlink()
        except OSError as error:
            raise SpoolError(
                f"{self._folder}: {error.strerror}; make it writable for the connector"
            ) from error
        orphans = 0
        for record in [record for record in self.records() if record.state == "open"]:
            self.write(mend(replace(record, state="orphaned", closed_at=now(), reason="lost")))
            orphans += 1
        return orphans

    def write(self, record: CallRecord) -> None:
        """Makes `record` durable in place of its last version. Raises SpoolError."""
        path = self._path(record.call_id)
        partial = self._folder / f".{record.call_id}.part"
        try:
            with partial.open("w", encoding="utf-8") as file:
                json.dump(asdict(record), file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            self._sync_folder()
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise SpoolError(f"{path}: {error.strerror}; free space or repair the disk") from error

    def discard(self, call_id: str) -> None:
        """Removes the record of a call that was not answered after all. Raises SpoolError."""
        try:
            self._path(call_id).unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            raise SpoolError(f"{self._path(call_id)}: {error.strerror}") from error

    def trouble(self) -> str | None:
        """Why a record could not be written now, or None."""
        try:
            disk = os.statvfs(self._folder)
        except OSError as error:
            return f"spool: {error.strerror}"
        if disk.f_bavail * disk.f_frsize < _FREE_BYTES_MIN or (disk.f_files and not disk.f_favail):
            return "spool: disk full"
        if not os.access(self._folder, os.W_OK | os.X_OK):
            return "spool: not writable"
        return None

    def waiting(self) -> int:
        """How many records are on disk."""
        return sum(1 for _ in self._folder.glob("*.json"))

    def changed(
        self, known: Mapping[str, int], most: int, without: Collection[str] = ()
    ) -> list[tuple[CallRecord, int]]:
        """The oldest `most` records whose version is not the `known` one of their call, with that version.

        A version is the modification time of the record's file, in ns. Calls in `without` are left out.
        """
        found: list[tuple[int, Path]] = []
        for entry in os.scandir(self._folder):
            if entry.name.endswith(".json") and entry.name not in self._damaged:
                call_id = entry.name.removesuffix(".json")
                with contextlib.suppress(FileNotFoundError):
                    version = entry.stat().st_mtime_ns
                    if call_id not in without and known.get(call_id) != version:
                        found.append((version, Path(entry.path)))
        versions = ((self._read(path), version) for version, path in sorted(found)[:most])
        return [(record, version) for record, version in versions if record is not None]

    def records(self) -> list[CallRecord]:
        """Every record on disk that can be read, oldest first."""
        found = (self._read(path) for path in self._folder.glob("*.json"))
        return sorted((record for record in found if record is not None), key=lambda it: it.opened_at)

    def _read(self, path: Path) -> CallRecord | None:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data.get("recording"):
                data["recording"] = Recorded(**data["recording"])
            return CallRecord(**data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            # Left in place for a person: it is evidence of a call.
            log.error("%s is no call record (%s)", path, type(error).__name__)
            self._damaged.add(path.name)
            return None

    def _path(self, call_id: str) -> Path:
        return self._folder / f"{call_id}.json"

    def _sync_folder(self) -> None:
        # Without this the name itself may be lost with the power (fsync(2)).
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
