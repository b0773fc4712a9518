"""Brings call records from the spool to the session service, and says which calls this lane carries.

The spool is the only state: whatever is not known to be stored is sent again, and its facts are numbered the
same each time, so the service keeps each once. A closed record leaves the disk when all of it is stored.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc

from tellerline.connector import facts
from tellerline.connector.spool import CallRecord
from tellerline.errors import SpoolError
from tellerline.instances import Instances
from tellerline.rpc import session_pb2 as pb
from tellerline.rpc import session_pb2_grpc as rpc
from tellerline.settings import ServiceAddresses

if TYPE_CHECKING:
    from tellerline.connector.lane import Lane

log = logging.getLogger(__name__)

LEASE_EVERY_SECONDS = 5.0
# Two renewals may be lost; a host that died is noticed within this.
LEASE_SECONDS = 15
_APPEND_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_RETRY_SECONDS_MAX = 5.0
_RECORDS_AT_ONCE = 50


class Collector:
    """One lane's way to the session service."""

    def __init__(self, service: ServiceAddresses, lane: Lane) -> None:
        """Raises SettingsError for a network address without TLS."""
        self._instances = Instances(service, rpc.SessionStub)
        self._lane = lane
        self._written = asyncio.Event()
        # The version of each record, by its file's time, that is stored as far as it goes.
        self._stored: dict[str, int] = {}
        self._away = False

    def record_written(self) -> None:
        """A record was written or changed."""
        self._written.set()

    async def collect(self) -> None:
        """Sends what the spool holds and what comes into it, for ever."""
        retry_seconds = _RETRY_SECONDS
        while True:
            self._written.clear()
            try:
                while await self._collect_some():
                    pass
            except (grpc.aio.AioRpcError, SpoolError, OSError) as error:
                self._say_away(error)
                await asyncio.sleep(retry_seconds)
                retry_seconds = min(2 * retry_seconds, _RETRY_SECONDS_MAX)
                continue
            self._say_back()
            retry_seconds = _RETRY_SECONDS
            await self._written.wait()

    async def lease(self) -> None:
        """Renews the lane's lease, for ever."""
        while True:
            request = pb.LeaseRequest(
                lane=self._lane.settings.lane, call_ids=self._lane.confirmed_ids(), seconds=LEASE_SECONDS
            )
            try:
                await self._instances.call("Lease", request, within_seconds=LEASE_EVERY_SECONDS)
            except (grpc.aio.AioRpcError, OSError) as error:
                log.debug("the lease was not renewed: %s", type(error).__name__)
            await asyncio.sleep(LEASE_EVERY_SECONDS)

    async def settle(self, seconds: float) -> None:
        """Sends what is left, at most `seconds`; the rest waits on disk for the next start."""
        try:
            async with asyncio.timeout(seconds):
                while await self._collect_some():
                    pass
        except (TimeoutError, grpc.aio.AioRpcError, SpoolError, OSError):
            log.info("call records stay in the spool until the next start")
        await self._instances.close()

    async def _collect_some(self) -> bool:
        """Sends the oldest records that are not stored yet; false when there were none."""
        found: list[tuple[CallRecord, int]] = await self._lane.on_disk(
            self._lane.spool.changed, self._stored, _RECORDS_AT_ONCE, frozenset(self._lane.untold)
        )
        if not found:
            return False
        told = [fact for record, _ in found for fact in _facts(record)]
        if told:
            await self._append(told)
        understood = {fact.call_id for fact in told}
        for record, version in found:
            if record.closed_at is None or record.call_id not in understood:
                self._stored[record.call_id] = version
            else:
                await self._lane.on_disk(self._lane.spool.discard, record.call_id)
                self._stored.pop(record.call_id, None)
        return True

    async def _append(self, told: list[pb.Record]) -> None:
        request = pb.AppendRequest(records=told)
        reply = await self._instances.call("Append", request, within_seconds=_APPEND_SECONDS)
        for aside in reply.set_aside:
            # The service has it, apart, and raises the alarm.
            call_id = told[aside.index].call_id if aside.index < len(told) else "?"
            log.error("call %s: the session service set a record aside: %s", call_id, aside.reason)

    def _say_away(self, error: Exception) -> None:
        if not self._away:
            why = error.code().name if isinstance(error, grpc.aio.AioRpcError) else str(error)
            log.warning("call records stay in the spool: %s", why)
        self._away = True

    def _say_back(self) -> None:
        if self._away:
            log.info("call records are being collected again")
        self._away = False


def _facts(record: CallRecord) -> list[pb.Record]:
    try:
        return facts.of(record)
    except ValueError as error:
        # Somebody else wrote it; one such record must not hold up the rest.
        log.error("the record of call %s makes no sense: %s", record.call_id, error)
        return []
