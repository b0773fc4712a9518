"""The daemon: gRPC in front of the handlers, relay, view builder and upkeep beside them."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, NoReturn

import grpc
from grpc_health.v1 import health_pb2

from tellerline import audit, audit_heads, bootstrap
from tellerline.database import postgres
from tellerline.database import redis as redis_database
from tellerline.errors import TruthAway
from tellerline.monitoring import metrics, notify, watchdog
from tellerline.rpc import session_pb2 as pb
from tellerline.rpc import session_pb2_grpc
from tellerline.session.handlers import Handlers
from tellerline.session.model import Call
from tellerline.session.postgres import PostgresCalls
from tellerline.session.redis import RedisViews
from tellerline.session.retention import Retention
from tellerline.session.upkeep import Upkeep
from tellerline.session.views import Builder, Relay
from tellerline.settings import RetentionSettings, SessionSettings

log = logging.getLogger(__name__)

_SERVICE = pb.DESCRIPTOR.services_by_name["Session"].full_name
_STOP_SECONDS = 5.0
_LEASE_SECONDS_MAX = 300
_FILES_MAX = 1000


class Servicer(session_pb2_grpc.SessionServicer):
    """Session of session.proto. UNAVAILABLE: PostgreSQL cannot be asked now."""

    def __init__(self, handlers: Handlers, retention: RetentionSettings) -> None:
        self._handlers = handlers
        self._retention = retention

    async def Append(self, request: pb.AppendRequest, context: Any) -> pb.AppendReply:
        """Stores records; the reply means durable."""
        begun = time.monotonic()
        try:
            done = await self._handlers.append(request.records)
        except TruthAway as error:
            await _unavailable(context, "Append", error)
        metrics.SESSION_APPEND_SECONDS.observe(time.monotonic() - begun)
        aside = [pb.SetAside(index=index, reason=reason) for index, reason in done.set_aside]
        return pb.AppendReply(stored=done.stored, known=done.known, set_aside=aside)

    async def Lease(self, request: pb.LeaseRequest, context: Any) -> pb.LeaseReply:
        """Renews a lane's lease."""
        if not request.lane or not 0 < request.seconds <= _LEASE_SECONDS_MAX:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"name a lane, and 1 to {_LEASE_SECONDS_MAX} seconds"
            )
        try:
            await self._handlers.lease(request.lane, request.call_ids, request.seconds)
        except TruthAway as error:
            await _unavailable(context, "Lease", error)
        return pb.LeaseReply()

    async def Resume(self, request: pb.ResumeRequest, context: Any) -> pb.ResumeReply:
        """Where a conversation stood."""
        try:
            call = await self._handlers.call(request.call_id)
        except TruthAway as error:
            await _unavailable(context, "Resume", error)
        if call is None or not call.phase:
            return pb.ResumeReply()
        return pb.ResumeReply(
            found=True,
            phase=call.phase,
            language=call.language,
            state_json=call.state_json,
            turns=_turns(call),
        )

    async def LiveCalls(self, request: pb.LiveCallsRequest, context: Any) -> pb.LiveCallsReply:
        """The open calls, oldest first."""
        try:
            calls = await self._handlers.live()
        except TruthAway as error:
            await _unavailable(context, "LiveCalls", error)
        return pb.LiveCallsReply(
            calls=[
                pb.LiveConversation(
                    call_id=call.call_id,
                    lane=call.lane,
                    phase=call.phase,
                    language=call.language,
                    opened_unix_ms=call.opened_unix_ms,
                    turns=call.turns,
                )
                for call in calls
            ]
        )

    async def Summary(self, request: pb.SummaryRequest, context: Any) -> pb.SummaryReply:
        """One call."""
        try:
            if request.WhichOneof("by") == "reference":
                call = await self._handlers.handed_over(request.reference)
            else:
                call = await self._handlers.call(request.call_id)
        except TruthAway as error:
            await _unavailable(context, "Summary", error)
        if call is None:
            return pb.SummaryReply()
        return pb.SummaryReply(
            found=True,
            call_id=call.call_id,
            lane=call.lane,
            language=call.language,
            state=call.state,
            reason=call.reason,
            opened_unix_ms=call.opened_unix_ms,
            closed_unix_ms=call.closed_unix_ms,
            turns=call.turns,
            intents=call.intents,
            handover_summary=call.handover_summary,
            last_turns=_turns(call),
        )

    async def Keyless(self, request: pb.KeylessRequest, context: Any) -> pb.KeylessReply:
        """Files that are noise by now."""
        if len(request.files) > _FILES_MAX:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"ask for {_FILES_MAX} files at most")
        try:
            destroyed, unknown = await self._handlers.keyless(request.host, request.files)
        except TruthAway as error:
            await _unavailable(context, "Keyless", error)
        return pb.KeylessReply(
            destroyed=destroyed,
            unknown=unknown,
            calls_days=self._retention.calls_days,
            again_seconds=max(1, round(self._retention.every_hours * 3600)),
        )


async def serve(settings: SessionSettings) -> None:
    """Runs until SIGTERM. Starts, and stays, whether PostgreSQL and Redis are there or not."""
    key = audit.read_key(settings.audit_key)
    chain = audit.Chain(key, service="session")
    pool = postgres.pool(settings.database)
    client = redis_database.client(settings.redis)
    views = RedisViews(client, settings.context_ttl_seconds)
    # Each needs the other: storing wakes the relay, and the relay takes what was stored.
    relay: Relay
    calls = PostgresCalls(pool, chain, lambda: relay.told())
    relay = Relay(calls, views)
    builder = Builder(calls, views, settings.context_ttl_seconds, settings.listen)
    upkeep = Upkeep(calls, settings)
    retention = Retention(pool, chain, settings.retention)
    heads = audit_heads.Heads(settings.audit_heads, key, "session")
    grpc_server, health_servicer = bootstrap.listen(settings.listen, settings.tls)
    session_pb2_grpc.add_SessionServicer_to_server(
        Servicer(Handlers(calls, views), settings.retention), grpc_server
    )
    await pool.open()
    works = (relay.run(), builder.run(), upkeep.run(), retention.run(), audit_heads.keep_always(heads, pool))
    tasks = [asyncio.create_task(work) for work in works]
    await grpc_server.start()
    for service in ("", _SERVICE):
        await health_servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    notify.notify("READY=1")
    log.info("ready at %s", settings.listen)
    stopped = asyncio.create_task(bootstrap.until_signal())
    async with watchdog.fed(lambda: bootstrap.opens(settings.listen), lambda: f"ready at {settings.listen}"):
        done, _ = await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
    notify.notify("STOPPING=1")
    await health_servicer.enter_graceful_shutdown()
    await grpc_server.stop(_STOP_SECONDS)
    faults = await bootstrap.end(tasks)
    await pool.close()
    await client.aclose()
    if stopped not in done:
        # A part that ended by itself is a fault; the service manager starts us anew.
        raise RuntimeError("a part of the session service ended") from (faults[0] if faults else None)


async def rebuild(settings: SessionSettings) -> int:
    """Builds the read side anew; returns how many calls it shows. Raises TruthAway or ViewsAway."""
    chain = audit.Chain(audit.read_key(settings.audit_key), service="session")
    pool = postgres.pool(settings.database)
    client = redis_database.client(settings.redis)
    async with pool:
        calls = PostgresCalls(pool, chain, told=lambda: None)
        views = RedisViews(client, settings.context_ttl_seconds)
        try:
            return await Builder(calls, views, settings.context_ttl_seconds).rebuild()
        finally:
            await client.aclose()


def _turns(call: Call) -> list[pb.PastTurn]:
    return [pb.PastTurn(heard=turn.heard, played=turn.played) for turn in call.last_turns]


async def _unavailable(context: Any, rpc: str, error: TruthAway) -> NoReturn:
    metrics.SESSION_UNAVAILABLE.labels(rpc=rpc).inc()
    log.warning("%s: %s", rpc, error)
    await context.abort(grpc.StatusCode.UNAVAILABLE, "nothing is stored: PostgreSQL cannot be asked now")
    raise AssertionError("abort raises")
