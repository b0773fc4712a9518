"""Serves conversations to a connector: admission, one pipecat pipeline a call, health and watching."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer
from pipecat.frames.frames import Frame, InterruptionFrame
from pipecat.workers.runner import WorkerRunner

from tellerline import bootstrap, language
from tellerline.errors import EngineUnavailable, TellerlineError
from tellerline.forwarding import Forwarder
from tellerline.instances import Instances
from tellerline.monitoring import metrics, watchdog
from tellerline.monitoring.notify import more_time, notify, silence_loguru, status
from tellerline.pipeline import self_test, tellers
from tellerline.pipeline.bank import BankAway
from tellerline.pipeline.build import Models, build
from tellerline.pipeline.call import Call
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.flows.events import Outcome, TransferEnded, Typed, Unserved
from tellerline.pipeline.frames import EventFrame, PartingFrame
from tellerline.pipeline.phrases import Phrases, complete, render
from tellerline.pipeline.providers.servicer import ProvidersServicer
from tellerline.pipeline.providers.site import Providers
from tellerline.pipeline.tellers import Behind
from tellerline.pipeline.voice import TurnModel, VoiceModel
from tellerline.pipeline.watching import Watchers
from tellerline.rpc import conversation_pb2 as pb
from tellerline.rpc import conversation_pb2_grpc as rpc
from tellerline.rpc.banking_pb2_grpc import BankingStub
from tellerline.settings import PipelineSettings

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 0.5
# Without any message from the connector for this long, it is dead.
SILENT_PEER_SECONDS = 1.5
RESERVE_SECONDS = 5.0
ENGINE_CHECK_SECONDS = 1.0
# What rendering and an engine's loading may take between two looks at it.
START_SECONDS = 120.0
# From the last call's end to the process's.
STOP_SECONDS = 20.0
# pipecat waits for its EndFrame without a limit (pipecat PR 5211); a call must not.
END_SECONDS = 3.0
_OUTCOMES: dict[int, Outcome] = {
    pb.DarkInputResult.ACCEPTED: "accepted",
    pb.DarkInputResult.REJECTED: "rejected",
    pb.DarkInputResult.TIMED_OUT: "timed_out",
    pb.DarkInputResult.CANCELLED: "cancelled",
    pb.DarkInputResult.UNAVAILABLE: "unavailable",
}
# How long after the words of a last phrase the line is cut, whoever still talks.
PARTING_SECONDS = 2.0


class Conversations(rpc.ConversationServicer):
    """The Conversation service of one lane."""

    def __init__(
        self,
        settings: PipelineSettings,
        engine: Engine,
        models: Models,
        phrases: Phrases,
        behind: Behind | None = None,
        providers: Providers | None = None,
    ) -> None:
        self._settings = settings
        self._providers = providers or Providers(settings.providers, engine)
        self._engine = engine
        self._models = models
        self._phrases = phrases
        self._behind = behind or Behind()
        self._watchers = Watchers()
        # Calls attached; whoever drains waits for none.
        self._attached = 0
        self._draining = False
        self._empty = asyncio.Event()
        self._empty.set()

    async def drain(self, seconds: float) -> None:
        """Admits nobody any more; returns when the last call has ended, or `seconds` have passed."""
        self._draining = True
        if self._attached:
            log.info("draining: %d calls have %.0f s", self._attached, seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()

    def told(self) -> str:
        """The lane's state in a line, for `systemctl status`."""
        answers = "no engine" if self._engine.away else f"answers by {self._engine.socket}"
        return f"{'draining' if self._draining else 'ready'}, {self._attached} calls, {answers}"

    async def Admit(self, request: pb.AdmitRequest, context: grpc.aio.ServicerContext) -> pb.AdmitReply:
        """Takes the engine's slot for a call about to be answered."""
        if self._draining:
            return pb.AdmitReply(admitted=False, reason="draining", retry_after_seconds=5)
        try:
            reply = await self._engine.reserve(request.call_id)
        except EngineUnavailable:
            if self._settings.without_engine == "keypad":
                return pb.AdmitReply(admitted=True, reason="engine unavailable: keypad")
            return pb.AdmitReply(admitted=False, reason="engine unavailable", retry_after_seconds=5)
        return pb.AdmitReply(
            admitted=reply.reserved,
            reason=reply.reason,
            retry_after_seconds=reply.retry_after_seconds,
            free_slots=reply.free_slots,
        )

    async def Watch(
        self, request: pb.WatchRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ConversationEvent]:
        """Streams what is said, where the site allows it."""
        if not self._settings.allow_watch:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "watching is off: set allow_watch")
        with self._watchers.watch(request.sip_call_id) as events:
            # From here on nothing is missed; a watcher may wait for this before it lets a call begin.
            await context.send_initial_metadata(())
            while True:
                yield await events.get()

    async def Converse(
        self, requests: AsyncIterator[pb.FromConnector], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ToConnector]:
        """One call, from Attach to the end of the stream."""
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("event") != "attach":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be Attach")
            return
        call = Call(
            first.call_id,
            first.attach,
            self._settings,
            self._engine,
            self._phrases,
            self._watchers,
            self._behind.forwarder,
            self._providers,
        )
        running = asyncio.create_task(_Running(call, self._models, self._behind).run(requests))
        metrics.PIPELINE_CALLS.inc()
        self._attached += 1
        self._empty.clear()
        try:
            while (command := await call.down.get()) is not None:
                yield command
        finally:
            metrics.PIPELINE_CALLS.dec()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            self._attached -= 1
            if not self._attached:
                self._empty.set()


class _Running:
    """Everything that runs while one call is attached."""

    def __init__(self, call: Call, models: Models, behind: Behind) -> None:
        self._call = call
        self._behind = behind
        self._teller, self._bank = tellers.make(call, behind)
        self._conversation = build(call, models, self._teller)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, requests: AsyncIterator[pb.FromConnector]) -> None:
        call = self._call
        runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
        await runner.add_workers(self._conversation.worker)
        started = asyncio.Event()
        self._conversation.worker.add_event_handler("on_pipeline_started", lambda *_: started.set())
        running = asyncio.create_task(runner.run())
        call.on_deadline = self._unserved
        call.send(attached=pb.Attached())
        # Digits are withheld at the connector until they are asked for.
        call.publish(attached=call.attach)
        log.info("call %s attached, resume=%s", call.call_id, call.attach.resume)
        keeping = [
            asyncio.create_task(work) for work in (self._beat(), self._keep_slot(), self._limit_length())
        ]
        try:
            await started.wait()
            event = await tellers.begin(call, self._teller, self._behind)
            self._queue(EventFrame(event=event))
            await self._read(requests)
        finally:
            for task in [*keeping, *self._tasks]:
                task.cancel()
            call.answer_ends()
            await self._end(running)
            call.publish(ended=pb.CallEnded(reason=call.end_reason or "hung up"))
            call.facts.end()
            if call.end_reason and self._bank is not None:
                # Not where the connector was lost, or this daemon stops: the call may come back.
                with contextlib.suppress(BankAway):
                    await self._bank.forget()
            await call.engine.release(call.call_id)
            call.down.put_nowait(None)
            log.info("call %s ended", call.call_id)

    async def _read(self, requests: AsyncIterator[pb.FromConnector]) -> None:
        iterator = aiter(requests)
        while True:
            try:
                message = await asyncio.wait_for(anext(iterator), SILENT_PEER_SECONDS)
            except (StopAsyncIteration, TimeoutError):
                return
            match message.WhichOneof("event"):
                case "caller_hung_up":
                    self._call.end_reason = self._call.end_reason or "caller"
                    return
                case "transfer_progress" if message.transfer_progress.final:
                    self._call.transfer_ends()
                    accepted = message.transfer_progress.sip_status // 100 == 2
                    self._queue(EventFrame(event=TransferEnded(accepted)))
                case "dark_input_result":
                    self._typed(message.dark_input_result)
                case _:
                    await self._conversation.input.receive(message)

    def _typed(self, result: pb.DarkInputResult) -> None:
        self._call.publish(dark_input=result)
        if result.request_id == self._call.dark_id:
            self._call.dark_id = 0
        outcome = _OUTCOMES.get(result.outcome, "unavailable")
        self._queue(EventFrame(event=Typed(result.request_id, outcome)))

    def _unserved(self) -> None:
        """An answer is due; words that are there already wait for a voice."""
        event = Unserved("synthesis" if self._call.queued_text else "language_model")
        self._queue(InterruptionFrame(), EventFrame(event=event))

    def _queue(self, *frames: Frame) -> None:
        task = asyncio.create_task(self._conversation.worker.queue_frames(list(frames)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _beat(self) -> None:
        while True:
            self._call.send(heartbeat=pb.Heartbeat(sent_ns=time.monotonic_ns()))
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _keep_slot(self) -> None:
        while True:
            with contextlib.suppress(EngineUnavailable):
                await self._call.engine.reserve(self._call.call_id)
            await asyncio.sleep(RESERVE_SECONDS)

    async def _limit_length(self) -> None:
        await asyncio.sleep(self._call.settings.limits.max_call_seconds)
        phrase = "too_long"
        await self._conversation.input.push_frame(PartingFrame(phrase, reason="too_long"))
        await asyncio.sleep(self._call.phrases.seconds(phrase) + PARTING_SECONDS)
        # Frames wait for processors, for a caller on hold, for one who talks on; this waits for nobody.
        self._call.end_reason = "too_long"
        self._call.send(hang_up=pb.HangUp(reason="too_long"))

    async def _end(self, running: asyncio.Task[None]) -> None:
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._conversation.worker.cancel()
                await running
        except (TimeoutError, asyncio.CancelledError):
            running.cancel()


async def serve(settings: PipelineSettings) -> None:
    """Runs the pipeline daemon until a signal, then lets its calls end.

    SERVING once phrases are rendered, while an engine serves; or without one, where the site answers by
    keypad. Raises ModelError where the voice models answer wrongly.
    """
    silence_loguru()
    engine = Engine(settings.engine_socket, *settings.further_engine_sockets)
    providers = Providers(settings.providers, engine)
    models = Models(VoiceModel(), TurnModel())
    words = language.load(settings.language)
    behind = Behind(
        Instances(settings.banking, BankingStub) if settings.banking is not None else None,
        Forwarder(settings.spool, settings.session, _name(settings.socket)),
    )
    await behind.forwarder.start()
    server, health = bootstrap.server(settings.socket)
    await health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    phrases = await _spoken(engine, words, settings)
    await self_test.run(models, phrases)
    conversations = Conversations(settings, engine, models, phrases, behind, providers)
    rpc.add_ConversationServicer_to_server(conversations, server)
    rpc.add_ProvidersServicer_to_server(ProvidersServicer(providers), server)
    await server.start()
    following = asyncio.create_task(_follow_engine(engine, words, health, settings))
    notify("READY=1")
    log.info("serving conversations on %s", settings.socket)
    async with watchdog.fed(lambda: self_test.pulse(models), conversations.told):
        await bootstrap.until_signal()
    following.cancel()
    await health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    await _drain(conversations, settings.drain_seconds)
    await server.stop(grace=0.5)
    await behind.close()
    await providers.close()
    await engine.close()
    models.turn.close()


def _name(socket: Path) -> str:
    """What the daemon is called: "pipeline@0-1", of pipeline@0-1/grpc.sock as of pipeline@0-1.sock."""
    return socket.parent.name if "@" in socket.parent.name else socket.stem


async def _drain(conversations: Conversations, seconds: float) -> None:
    """Lets calls end; another signal, or the deadline, ends them."""
    notify("STOPPING=1\nSTATUS=draining")
    more_time(seconds + STOP_SECONDS)
    ending = {
        asyncio.create_task(conversations.drain(seconds)),
        asyncio.create_task(bootstrap.until_signal()),
    }
    await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
    await bootstrap.end(ending)


async def _spoken(engine: Engine, words: language.Language, settings: PipelineSettings) -> Phrases:
    """All fixed phrases. Waits for an engine only where some have to be rendered."""
    others: list[str] = sorted(set(settings.languages_by_number.values()) - {words.code})
    folders = settings.phrases
    kept = all(complete(language.load(code), folders.get(code)) for code in (words.code, *others))
    while True:
        try:
            if await engine.look(words) or kept:
                spoken = {
                    code: Phrases(await render(engine, language.load(code), folders.get(code)))
                    for code in others
                }
                return Phrases(await render(engine, words, folders.get(words.code)), spoken)
        except TellerlineError as error:
            log.warning("the engine is not ready: %s", error)
        status("waiting for an engine")
        # One more look was taken: whoever loads models for minutes is waited for, by whoever has no phrases.
        more_time(START_SECONDS)
        await asyncio.sleep(ENGINE_CHECK_SECONDS)


async def _follow_engine(
    engine: Engine, words: language.Language, health: HealthServicer, settings: PipelineSettings
) -> None:
    serving, before = False, None
    while True:
        there = await engine.look(words)
        now = there or settings.without_engine == "keypad"
        if now != serving:
            serving = now
            states = health_pb2.HealthCheckResponse
            await health.set("", states.SERVING if now else states.NOT_SERVING)
        if there != before:
            before = there
            log.info("engine %s", "serving" if there else "away")
        await asyncio.sleep(ENGINE_CHECK_SECONDS)
