"""The connector daemon: readiness, drain, the control socket, start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from tellerline import bootstrap
from tellerline.connector import options
from tellerline.connector.call_recording import Recordings
from tellerline.connector.collector import Collector
from tellerline.connector.commands import Phrase
from tellerline.connector.lane import Lane
from tellerline.connector.live_call import LiveCall
from tellerline.connector.media import load_phrase
from tellerline.connector.secret_sink import BankingSecrets, overwrite_freed_memory
from tellerline.connector.spool import CallRecord
from tellerline.connector.stream import Pipeline
from tellerline.connector.sweeping import Sweeper
from tellerline.monitoring import metrics, notify, watchdog
from tellerline.rpc import control_pb2 as pb
from tellerline.rpc import control_pb2_grpc as rpc
from tellerline.settings import ConnectorSettings

log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 0.1
_SPOOL_SECONDS = 1.0
_COUNT_SECONDS = 15.0
# Python's 5 ms would let the loop keep the audio clock's thread waiting for a quarter of its 20 ms tick.
_SWITCH_SECONDS = 0.001
_GOODBYE_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
# From the last call's end to the process's: its records are sent.
_STOP_SECONDS = 20.0


class Readiness:
    """Whether the lane takes calls, and why not: tells the SIP stack, the health service and metrics."""

    def __init__(self, lane: Lane, healthiness: HealthServicer) -> None:
        self._lane = lane
        self._healthiness = healthiness
        self._pipeline_trouble: str | None = "pipeline: not seen yet"
        self._spool_trouble: str | None = None
        self._publishing = asyncio.Lock()
        self.draining = False

    @property
    def reason(self) -> str | None:
        """Why the lane takes no calls, as published, or None."""
        return self._lane.refusal

    def told(self) -> str:
        """The lane's state in a line, for `systemctl status`."""
        calls = f"{len(self._lane.calls)} of {self._lane.settings.sip.lane_calls} calls"
        return f"{self.reason or 'ready'}, {calls}"

    async def publish(self) -> None:
        """Spreads the present state; the SIP stack knows first, so nobody who sees "ready" gets 503."""
        async with self._publishing:
            await self._publish()

    async def _publish(self) -> None:
        reason = "draining" if self.draining else self._pipeline_trouble or self._spool_trouble
        await self._lane.sip.set_ready(reason is None)
        if reason != self._lane.refusal:
            log.info("lane %s: %s", self._lane.settings.lane, reason or "ready")
        self._lane.refusal = reason
        metrics.CONNECTOR_STATE.labels(self._lane.settings.lane).set(reason is None)
        notify.status(self.told())
        status = health_pb2.HealthCheckResponse
        await self._healthiness.set("", status.NOT_SERVING if reason else status.SERVING)

    async def watch_pipeline(self, pipeline: Pipeline) -> None:
        """Follows the pipeline's health, for ever."""

        def changed(healthy: bool) -> None:
            self._pipeline_trouble = None if healthy else "pipeline: not serving"
            self._lane.spawn(self.publish())

        await pipeline.watch(changed)

    async def watch_spool(self) -> None:
        """Looks at the spool every second, for ever."""
        while True:
            trouble = await self._lane.spool_trouble()
            if trouble != self._spool_trouble:
                self._spool_trouble = trouble
                await self.publish()
            await asyncio.sleep(_SPOOL_SECONDS)

    async def count_records(self) -> None:
        """Publishes how many records wait, for ever; rarely, since it lists the whole folder."""
        while True:
            waiting = await self._lane.on_disk(self._lane.spool.waiting)
            metrics.CONNECTOR_SPOOLED.labels(self._lane.settings.lane).set(waiting)
            await asyncio.sleep(_COUNT_SECONDS)

    async def beat(self) -> None:
        """Shows the SIP stack that this loop lives, for ever."""
        while True:
            self._lane.sip.heartbeat()
            await asyncio.sleep(_HEARTBEAT_SECONDS)


class Drain:
    """Refuses new calls and ends the running ones at a deadline."""

    def __init__(self, lane: Lane, readiness: Readiness) -> None:
        self._lane = lane
        self._readiness = readiness
        self._deadline: asyncio.TimerHandle | None = None

    async def start(self, seconds: float) -> None:
        """Starts, or moves the deadline of a drain under way."""
        await self.cancel(publish=False)
        self._readiness.draining = True
        await self._readiness.publish()
        self._deadline = self._lane.loop.call_later(seconds, self._lane.end_all)
        log.info("draining: %d calls have %.0f s", len(self._lane.calls), seconds)

    async def cancel(self, publish: bool = True) -> None:
        """Takes calls again."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._readiness.draining = False
        if publish:
            await self._readiness.publish()


class ControlService(rpc.ControlServicer):
    """What an operator asks of a running connector."""

    def __init__(self, lane: Lane, readiness: Readiness, drain: Drain) -> None:
        self._lane = lane
        self._readiness = readiness
        self._drain = drain

    async def Status(self, request: pb.StatusRequest, context: grpc.aio.ServicerContext) -> pb.StatusReply:
        reason = self._readiness.reason
        sip = self._lane.settings.sip
        state = "draining" if self._readiness.draining else "unhealthy" if reason else "ready"
        return pb.StatusReply(
            state=state,
            reason=reason or "",
            lane_calls=sip.lane_calls,
            sip_uri=f"sip:{sip.public_host or sip.bind_host}:{sip.port}",
            calls=[_live_call(live) for live in self._lane.calls.values()],
        )

    async def Drain(self, request: pb.DrainRequest, context: grpc.aio.ServicerContext) -> pb.DrainReply:
        await self._drain.start(request.timeout_seconds or self._lane.settings.drain_seconds)
        return pb.DrainReply(live_calls=len(self._lane.calls))

    async def Undrain(self, request: pb.UndrainRequest, context: grpc.aio.ServicerContext) -> pb.UndrainReply:
        await self._drain.cancel()
        return pb.UndrainReply()


def _live_call(live: LiveCall) -> pb.LiveCall:
    answered_at = live.answered_at
    return pb.LiveCall(
        call_id=live.call_id,
        sip_call_id=live.invitation.sip_call_id,
        state=live.states.state.value,
        codec=live.negotiated.codec,
        answered_seconds=int(time.monotonic() - answered_at) if answered_at is not None else 0,
        attached=live.stream is not None and live.stream.open,
    )


async def serve(settings: ConnectorSettings) -> None:
    """Runs the lane's connector until a signal, then drains it.

    Raises SettingsError, SpoolError or SipError when it cannot start.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    phrases = {
        number: {phrase: load_phrase(folder / f"{phrase.value}.wav") for phrase in Phrase}
        for number, folder in {"": settings.phrases, **settings.phrases_by_number}.items()
    }
    channel = bootstrap.channel(settings.pipeline_socket)
    pipeline = Pipeline(channel)
    overwrite_freed_memory()
    sink = BankingSecrets(settings.banking) if settings.banking is not None else None
    recordings = Recordings(settings.recording, settings.lane) if settings.recording is not None else None
    lane = Lane(settings, pipeline, phrases, asyncio.get_running_loop(), sink, recordings)
    collector = _collector(settings, lane)
    mend = recordings.mend if recordings is not None else _as_it_is
    orphans = await lane.on_disk(lane.spool.prepare, mend)
    if orphans:
        log.warning("%d calls were lost by the last connector of this lane", orphans)
    server, healthiness = bootstrap.server(settings.control_socket)
    readiness = Readiness(lane, healthiness)
    drain = Drain(lane, readiness)
    rpc.add_ControlServicer_to_server(ControlService(lane, readiness, drain), server)
    await lane.sip.start()
    await server.start()
    await readiness.publish()
    watches = [
        asyncio.create_task(readiness.beat()),
        asyncio.create_task(readiness.watch_pipeline(pipeline)),
        asyncio.create_task(readiness.watch_spool()),
        asyncio.create_task(readiness.count_records()),
    ]
    if collector is not None:
        watches += [asyncio.create_task(collector.collect()), asyncio.create_task(collector.lease())]
    if settings.session is not None and settings.recording is not None:
        sweeper = Sweeper(settings.session, settings.recording.folder, settings.lane)
        watches.append(asyncio.create_task(sweeper.run()))
    log.info("lane %s listens on %s:%d", settings.lane, settings.sip.bind_host, settings.sip.port)
    # A port that does not answer is no lane, whatever the library says of its start.
    async with asyncio.timeout(_ANSWER_SECONDS):
        await options.answered(settings.sip)
    notify.notify("READY=1")
    try:
        async with watchdog.fed(lambda: _works(settings), readiness.told):
            await bootstrap.until_signal()
        notify.notify("STOPPING=1")
        await _finish(lane, drain, settings.drain_seconds)
    finally:
        for watch in watches:
            watch.cancel()
        await lane.sip.stop()
        await lane.finish_tasks(_GOODBYE_SECONDS)
        if collector is not None:
            await collector.settle(_GOODBYE_SECONDS)
        lane.close()
        if sink is not None:
            await sink.close()
        await server.stop(grace=0.2)
        await channel.close()


def _collector(settings: ConnectorSettings, lane: Lane) -> Collector | None:
    if settings.session is None:
        return None
    collector = Collector(settings.session, lane)
    lane.on_record = collector.record_written
    return collector


def _as_it_is(record: CallRecord) -> CallRecord:
    return record


async def _works(settings: ConnectorSettings) -> None:
    await options.answered(settings.sip)


async def _finish(lane: Lane, drain: Drain, seconds: float) -> None:
    """Returns when the last call ended, at most shortly after the drain's deadline."""
    # Beyond TimeoutStopSec, where a site gives calls longer: until the deadline somebody may be talking.
    notify.more_time(seconds + _STOP_SECONDS)
    await drain.start(seconds)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds + _GOODBYE_SECONDS):
            await lane.empty.wait()
