"""Store and forward: facts about calls go to this host's disk first, then to the session service, in order.

    async with Forwarder(settings.spool, settings.session, name="pipeline@cpu-0") as forwarder:
        forwarder.append(call_id, session_pb2.TurnTaken(...))
        earlier = await forwarder.resume(call_id)

`append` does not block: the record is written (page cache: it survives kill -9 of this process) and sent in
the background; a thread syncs the file every 0.2 s, for the power. Records are dropped once the service has
said that they are stored or set aside. What a dead process left in the folder is sent by the next one.
Texts of callers are redacted before they touch the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import grpc

from tellerline import bootstrap
from tellerline.errors import SpoolError
from tellerline.instances import Instances
from tellerline.monitoring import metrics
from tellerline.record_file import RecordFile, left_behind
from tellerline.rpc import session_pb2, session_pb2_grpc
from tellerline.session.texts import redact_record
from tellerline.settings import ServiceAddresses

log = logging.getLogger(__name__)

_BATCH_RECORDS = 100
_BATCH_BYTES = 1024 * 1024
# One record above this is a fault of its producer (the conversation's state is some KiB).
_RECORD_BYTES_MAX = 256 * 1024
_SEND_SECONDS = 5.0
_PAUSE_SECONDS = (0.1, 2.0)
_SYNC_SECONDS = 0.2
# Calls whose last words are remembered for `resume`; a lane carries 4.
_TRACES = 64
_TURNS = 20
# Calls whose count is kept, for facts that come late: a lane's calls of more than a day.
_CALLS = 10_000

Fact = (
    session_pb2.CallOpened
    | session_pb2.CallClosed
    | session_pb2.TurnTaken
    | session_pb2.ToolCalled
    | session_pb2.ContextSaved
    | session_pb2.ConsentGiven
    | session_pb2.HandedOver
    | session_pb2.RecordingStarted
    | session_pb2.RecordingEnded
)
# Message type → field of Record.
_FIELDS: dict[str, str] = {
    field.message_type.name: field.name
    for field in session_pb2.Record.DESCRIPTOR.oneofs_by_name["fact"].fields
    if field.message_type is not None
}


@dataclass
class _Trace:
    """What this host knows of a call's conversation."""

    context: session_pb2.ContextSaved | None = None
    turns: deque[session_pb2.PastTurn] = field(default_factory=lambda: deque(maxlen=_TURNS))


class Forwarder:
    """Takes facts, keeps them until the session service has them. One for a process; not thread-safe.

    `name` is the producer's ("pipeline@cpu-0"). Each life of the process numbers its records from 1, as the
    producer "<name>/<life>". With `session` None facts only serve `resume` and are not kept.
    """

    def __init__(self, folder: Path, session: ServiceAddresses | None, name: str) -> None:
        self._folder = folder
        self._session = session
        self._name = name
        # Unique among all lives of this producer, and in the order of their start.
        self._producer = f"{name}/{time.time_ns() // 1_000_000:x}"
        self._sequences: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._traces: OrderedDict[str, _Trace] = OrderedDict()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._file: RecordFile | None = None
        self._left: list[RecordFile] = []
        self._instances: Instances | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._more = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._away = False

    async def __aenter__(self) -> Forwarder:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Reads what earlier processes left, and begins to send. Raises SpoolError for an unusable folder."""
        if self._session is None:
            return
        self._left = await asyncio.to_thread(left_behind, self._folder)
        for file in self._left:
            for data in file.records():
                self._remember(session_pb2.Record.FromString(data))
                self._waiting.append((time.monotonic(), data))
        if self._waiting:
            self._empty.clear()
        self._file = await asyncio.to_thread(RecordFile.create, self._folder)
        self._instances = Instances(self._session, session_pb2_grpc.SessionStub)
        self._tasks = [asyncio.create_task(self._send_all()), asyncio.create_task(self._sync())]
        self._note()

    async def close(self, drain_seconds: float = 2.0) -> None:
        """Sends what can be sent within `drain_seconds`; the rest stays on disk for the next process."""
        if not self._tasks:
            return
        await self.drained(drain_seconds)
        await bootstrap.end(self._tasks)
        self._tasks = []
        assert self._file is not None and self._instances is not None
        self._file.close()
        for file in self._left:
            file.close()
        await self._instances.close()

    def append(
        self,
        call_id: str,
        fact: Fact,
        *,
        at_unix_ms: int | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> None:
        """Keeps `fact` and sends it in its turn. Never blocks, never raises for a full disk.

        `producer` and `sequence` are for facts that are on this disk in another form as well and may be
        appended again by the next process (the connector's call records): the same pair is stored once.
        """
        owner = producer or self._producer
        record = session_pb2.Record(
            call_id=call_id,
            producer=owner,
            sequence=sequence or self._next(call_id, owner),
            at_unix_ms=at_unix_ms if at_unix_ms is not None else time.time_ns() // 1_000_000,
        )
        getattr(record, _FIELDS[type(fact).__name__]).CopyFrom(fact)
        redact_record(record)
        self._remember(record)
        if self._session is None:
            return
        data = record.SerializeToString()
        if len(data) > _RECORD_BYTES_MAX:
            raise ValueError(f"a record of {len(data)} bytes; at most {_RECORD_BYTES_MAX} can be kept")
        self._write(data)
        self._waiting.append((time.monotonic(), data))
        self._empty.clear()
        self._more.set()
        self._note()

    def latest_context(self, call_id: str) -> session_pb2.ContextSaved | None:
        """The last ContextSaved this host knows of the call, sent or not; None where it knows none."""
        trace = self._traces.get(call_id)
        return trace.context if trace is not None else None

    async def resume(self, call_id: str, within_seconds: float = 1.0) -> session_pb2.ResumeReply:
        """Where the conversation of `call_id` stood: what the service knows, and what is newer on this disk.

        Takes at most `within_seconds`; never raises for a service that is away.
        """
        begun = time.monotonic()
        await self.drained(within_seconds / 2)
        reply = session_pb2.ResumeReply()
        if self._instances is not None:
            left = within_seconds - (time.monotonic() - begun)
            with contextlib.suppress(grpc.aio.AioRpcError):
                request = session_pb2.ResumeRequest(call_id=call_id)
                reply = await self._instances.call("Resume", request, within_seconds=max(left, 0.05))
        trace = self._traces.get(call_id)
        if trace is None or (reply.found and not self._waiting):
            return reply
        if trace.context is not None:
            reply.found = True
            reply.phase = trace.context.phase
            reply.language = trace.context.language
            reply.state_json = trace.context.state_json
        # After a restart this disk may hold the last turns alone.
        if len(trace.turns) >= len(reply.turns):
            del reply.turns[:]
            reply.turns.extend(trace.turns)
        return reply

    async def drained(self, within_seconds: float) -> bool:
        """Waits until everything appended is stored; False when that takes longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self._empty.wait()
        return self._empty.is_set()

    @property
    def waiting(self) -> int:
        """How many records the service has not yet confirmed."""
        return len(self._waiting)

    # ---- keeping

    def _next(self, call_id: str, producer: str) -> int:
        key = (call_id, producer)
        self._sequences[key] = self._sequences.get(key, 0) + 1
        self._sequences.move_to_end(key)
        while len(self._sequences) > _CALLS:
            self._sequences.popitem(last=False)
        return self._sequences[key]

    def _remember(self, record: session_pb2.Record) -> None:
        kind = record.WhichOneof("fact")
        if kind not in ("context_saved", "turn_taken"):
            return
        trace = self._traces.setdefault(record.call_id, _Trace())
        self._traces.move_to_end(record.call_id)
        if kind == "context_saved":
            trace.context = record.context_saved
        else:
            turn = record.turn_taken
            trace.turns.append(session_pb2.PastTurn(heard=turn.heard, played=turn.played))
        while len(self._traces) > _TRACES:
            self._traces.popitem(last=False)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise SpoolError("records are appended before the forwarder was started; call start() first")
        try:
            self._file.append(data)
        except SpoolError as error:
            # Kept in memory and sent all the same; only a crash could lose it now.
            metrics.FORWARDING_UNWRITTEN.labels(producer=self._name).inc()
            log.error("%s", error)

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            assert self._file is not None
            if self._file.unsynced:
                try:
                    await asyncio.to_thread(self._file.sync)
                except SpoolError as error:
                    log.error("%s", error)

    # ---- sending

    async def _send_all(self) -> None:
        pause = _PAUSE_SECONDS[0]
        while True:
            if not self._waiting:
                self._all_stored()
                await self._more.wait()
            self._more.clear()
            if not self._waiting:
                continue
            count, request = self._batch()
            if await self._send(request):
                for _ in range(count):
                    self._waiting.popleft()
                self._note()
                pause = _PAUSE_SECONDS[0]
            else:
                self._note()
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, _PAUSE_SECONDS[1])

    def _batch(self) -> tuple[int, session_pb2.AppendRequest]:
        request = session_pb2.AppendRequest()
        size = 0
        for _, data in self._waiting:
            size += len(data)
            if request.records and (len(request.records) >= _BATCH_RECORDS or size > _BATCH_BYTES):
                break
            request.records.append(session_pb2.Record.FromString(data))
        return len(request.records), request

    async def _send(self, request: session_pb2.AppendRequest) -> bool:
        assert self._instances is not None
        try:
            reply = await self._instances.call("Append", request, within_seconds=_SEND_SECONDS)
        except grpc.aio.AioRpcError as error:
            # Whatever the status: nothing is dropped that the service has not taken.
            if not self._away:
                self._away = True
                log.warning("session does not take records (%s); they wait on disk", error.code().name)
            return False
        if self._away:
            self._away = False
            log.info("session takes records again, %d waiting", len(self._waiting))
        if reply.set_aside:
            reasons = sorted({refused.reason for refused in reply.set_aside})
            log.error("session set %d records aside: %s", len(reply.set_aside), "; ".join(reasons))
        return True

    def _all_stored(self) -> None:
        assert self._file is not None
        try:
            for file in self._left:
                file.remove()
            self._left = []
            self._file.empty()
        except SpoolError as error:
            # Sent again by the next process, and known to the service then.
            log.error("%s", error)
        self._empty.set()
        self._note()

    def _note(self) -> None:
        metrics.FORWARDING_WAITING.labels(producer=self._name).set(len(self._waiting))
        age = time.monotonic() - self._waiting[0][0] if self._waiting else 0.0
        metrics.FORWARDING_LAG_SECONDS.labels(producer=self._name).set(age)
