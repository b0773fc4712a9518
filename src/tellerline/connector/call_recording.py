"""A lane's recordings: from a caller's consent to the file's last chunk, on a thread of their own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tellerline.connector import recording, spool
from tellerline.connector.recording import Recorder, RecordingFile, SiteKey
from tellerline.monitoring import metrics
from tellerline.settings import RecordingSettings

log = logging.getLogger(__name__)


class Recordings:
    """Where a lane's recordings are made. Raises SettingsError when the site's key cannot be read."""

    def __init__(self, settings: RecordingSettings, lane: str) -> None:
        self._folder = settings.folder
        self._lane = lane
        self._site_key = SiteKey(settings)
        # Not the spool's thread: a slow disk for sound must not keep a call from being answered.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recording")

    def begin(self, call_id: str) -> CallRecording:
        """A recording under a new key. Nothing is on disk before `CallRecording.permit`."""
        key = recording.new_key()
        about = spool.Recorded(
            file=f"{call_id}{recording.SUFFIX}",
            host=socket.gethostname(),
            wrapped_key=base64.b64encode(self._site_key.wrap(key, call_id)).decode(),
            key_id=self._site_key.key_id,
            started_at=spool.now(),
        )
        file = RecordingFile(self._folder / about.file, call_id, key)
        return CallRecording(about, file, self._on_thread, self._ended)

    def mend(self, record: spool.CallRecord) -> spool.CallRecord:
        """Says of an orphaned call how much of its recording there is. Blocks on the disk."""
        about = record.recording
        if about is None or about.ended_at is not None:
            return record
        seconds, size = recording.measure(self._folder / about.file)
        cut_off = replace(about, ended_at=spool.now(), seconds=round(seconds, 3), bytes=size)
        return replace(record, recording=cut_off)

    def close(self) -> None:
        """Lets what was handed to the thread be written."""
        self._thread.shutdown(wait=True)

    async def _on_thread(self, work: Callable[..., Any], *details: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *details)

    def _ended(self, complete: bool) -> None:
        metrics.CONNECTOR_RECORDINGS.labels(self._lane, "complete" if complete else "failed").inc()


class CallRecording:
    """One call's recording. Lives on the loop."""

    def __init__(
        self,
        about: spool.Recorded,
        file: RecordingFile,
        on_thread: Callable[..., Any],
        ended: Callable[[bool], None],
    ) -> None:
        self.about = about
        self.recorder = Recorder(self._write)
        self._file = file
        self._on_thread = on_thread
        self._ended = ended
        self._permitted = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._chunks: asyncio.Queue[tuple[bytes, bytes] | None] = asyncio.Queue()
        self._bytes: int | None = None

    def permit(self) -> None:
        """The call's record with the wrapped key is durable: from now on the file can be read again."""
        self._permitted.set()
        self._writing = asyncio.get_running_loop().create_task(self._keep_writing())

    async def finish(self) -> spool.Recorded:
        """Ends the file; what there is to say of it, for the call's record."""
        await self._permitted.wait()
        assert self._writing is not None
        self._chunks.put_nowait(None)
        with contextlib.suppress(OSError):
            await self._writing
        complete = self._bytes is not None
        self._ended(complete)
        return replace(
            self.about,
            ended_at=spool.now(),
            seconds=round(self.recorder.seconds, 3),
            bytes=self._bytes or 0,
            complete=complete,
        )

    def _write(self, caller: bytes, bot: bytes) -> None:
        if self._writing is None or not self._writing.done():
            self._chunks.put_nowait((caller, bot))

    async def _keep_writing(self) -> None:
        try:
            await self._on_thread(self._file.open)
            while (chunk := await self._chunks.get()) is not None:
                await self._on_thread(self._file.write, *chunk)
            await self._on_thread(self._file.write, *self.recorder.rest(), True)
            self._bytes = await self._on_thread(self._file.close)
        except OSError as error:
            # The call goes on, unrecorded from here.
            log.error("%s: %s; the rest of the call is not recorded", self.about.file, error.strerror)
            raise
