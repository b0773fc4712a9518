"""`tellerline engine`: loads and tests the models, then serves them on a unix socket until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from tellerline import bootstrap
from tellerline.engine import self_test
from tellerline.engine.admission import Slots, TurnTimes
from tellerline.engine.models import Models, load_models
from tellerline.engine.servicers import (
    EngineServicer,
    LanguageModelServicer,
    RecognitionServicer,
    RouterServicer,
    SynthesisServicer,
)
from tellerline.monitoring import notify, watchdog
from tellerline.rpc import engine_pb2, engine_pb2_grpc
from tellerline.settings import EngineSettings

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 1.0
_GRACE_SECONDS = 2.0
_SERVICES = ("", *(f"tellerline.v1.{name}" for name in engine_pb2.DESCRIPTOR.services_by_name))


async def serve(settings: EngineSettings) -> None:
    """Runs the engine until SIGTERM or SIGINT.

    Raises ModelError when a model is bad or answers wrongly, and LanguageModelError when the language model
    can answer nobody any more: the process fails, and whoever supervises it starts the next.
    """
    async with _running(settings) as broken:
        notify.notify("READY=1")
        signal = asyncio.create_task(bootstrap.until_signal())
        done, _ = await asyncio.wait((signal, broken), return_when=asyncio.FIRST_COMPLETED)
        notify.notify("STOPPING=1")
        if broken in done:
            signal.cancel()
            await broken
        log.info("stopping on %s", signal.result().name)


@contextlib.asynccontextmanager
async def _running(settings: EngineSettings) -> AsyncIterator[asyncio.Task[None]]:
    """The engine, tested and serving on `settings.socket` inside the block.

    Yields the task that keeps its slots; it ends only by raising why the engine is of no use any more.
    """
    started = time.perf_counter()
    models = await asyncio.to_thread(load_models, settings)
    try:
        await self_test.run(models)
        times = TurnTimes()
        slots = Slots(settings.admission, times)
        # Bound only now: a client that can connect may count on sound models.
        server, health = bootstrap.server(settings.socket)
        _add_services(server, models, slots, times, settings)
        await server.start()
        sweeping = asyncio.create_task(_sweep(slots, models))
        feeding = asyncio.create_task(watchdog.feed(models.pulse, slots.told))
        for service in _SERVICES:
            await health.set(service, health_pb2.HealthCheckResponse.SERVING)
        log.info("ready after %.1f s", time.perf_counter() - started)
        try:
            yield sweeping
        finally:
            sweeping.cancel()
            feeding.cancel()
            await _stop(server, health)
            settings.socket.unlink(missing_ok=True)
    finally:
        await asyncio.to_thread(models.close)


def _add_services(
    server: grpc.aio.Server, models: Models, slots: Slots, times: TurnTimes, settings: EngineSettings
) -> None:
    engine_pb2_grpc.add_EngineServicer_to_server(EngineServicer(slots, models.language_model), server)
    engine_pb2_grpc.add_RecognitionServicer_to_server(
        RecognitionServicer(models.recognizers, models.recognizers_by_language, times), server
    )
    engine_pb2_grpc.add_LanguageModelServicer_to_server(
        LanguageModelServicer(models.language_model, times, settings.language_model.max_tokens), server
    )
    engine_pb2_grpc.add_SynthesisServicer_to_server(
        SynthesisServicer(models.voices, models.voices_by_language, times), server
    )
    engine_pb2_grpc.add_RouterServicer_to_server(RouterServicer(models.router), server)


async def _sweep(slots: Slots, models: Models) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        if (failure := models.language_model.failure) is not None:
            raise failure
        for call_id in slots.lapsed():
            models.language_model.forget(call_id)


async def _stop(server: grpc.aio.Server, health: HealthServicer) -> None:
    await health.enter_graceful_shutdown()
    await server.stop(_GRACE_SECONDS)
