"""Removes recordings nobody can open any more, as often as the session service's retention runs.

A destroyed key has erased its call already, in every copy: this gives back the disk, and leaves no file that
somebody might wonder about.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import grpc

from tellerline.connector import recording
from tellerline.instances import Instances
from tellerline.monitoring import metrics
from tellerline.rpc import session_pb2 as pb
from tellerline.rpc import session_pb2_grpc as rpc
from tellerline.settings import ServiceAddresses

log = logging.getLogger(__name__)

_ASK_SECONDS = 10.0
_RETRY_SECONDS = 60.0
_FILES_AT_ONCE = 1000
_DAY_SECONDS = 24 * 3600
# A record may wait on a disk for some days before the service hears of its recording.
_SPARE_DAYS = 7


class Sweeper:
    """The recordings in `folder`. Lanes that share one sweep it each: no harm comes of that."""

    def __init__(self, service: ServiceAddresses, folder: Path, lane: str) -> None:
        """Raises SettingsError for a network address without TLS."""
        self._service = service
        self._folder = folder
        self._lane = lane

    async def run(self) -> None:
        """At once, and again whenever retention has run, for ever."""
        async with Instances(self._service, rpc.SessionStub) as instances:
            while True:
                try:
                    pause = await self.sweep(instances)
                except (grpc.aio.AioRpcError, OSError) as error:
                    why = error.code().name if isinstance(error, grpc.aio.AioRpcError) else error.strerror
                    log.info("recordings were not swept (%s); tried again in a minute", why)
                    pause = _RETRY_SECONDS
                await asyncio.sleep(pause)

    async def sweep(self, instances: Instances) -> float:
        """Removes what is noise; in how many seconds to do so again. Raises AioRpcError or OSError."""
        names = await asyncio.to_thread(self._names)
        pause, removed = _RETRY_SECONDS, 0
        for files in _some_at_a_time(names) if names else ([],):
            request = pb.KeylessRequest(host=socket.gethostname(), files=files)
            reply = await instances.call("Keyless", request, within_seconds=_ASK_SECONDS)
            removed += await asyncio.to_thread(self._remove, reply, frozenset(files))
            pause = max(_RETRY_SECONDS, reply.again_seconds)
        if removed:
            metrics.CONNECTOR_RECORDINGS.labels(self._lane, "swept").inc(removed)
            log.info("recordings swept: %d without a key", removed)
        return pause

    def _names(self) -> list[str]:
        return sorted(path.name for path in self._folder.glob(f"*{recording.SUFFIX}"))

    def _remove(self, reply: pb.KeylessReply, asked: frozenset[str]) -> int:
        old = time.time() - (reply.calls_days + _SPARE_DAYS) * _DAY_SECONDS
        destroyed, removed = frozenset(reply.destroyed), 0
        # Names that were not asked about might lie anywhere.
        for name in asked.intersection([*destroyed, *reply.unknown]):
            path = self._folder / name
            if name in destroyed or _changed_at(path) < old:
                path.unlink(missing_ok=True)
                removed += 1
        return removed


def _some_at_a_time(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _FILES_AT_ONCE):
        yield names[start : start + _FILES_AT_ONCE]


def _changed_at(path: Path) -> float:
    """Never, for one that another lane has removed meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
