"""Starts a daemon: settings, logging, metrics, signals, health, clean shutdown."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import resource
import signal
import stat
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from tellerline.errors import SettingsError
from tellerline.monitoring import metrics, notify
from tellerline.peers import AllowedPeers, credentials
from tellerline.settings import Monitoring, Tls

log = logging.getLogger(__name__)

# Unix sockets carry 20 ms audio messages: no proxies, no growing back-off (gRPC's default reaches 120 s).
CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)


def channel(socket: Path) -> grpc.aio.Channel:
    """A channel to a daemon's unix socket. Connects lazily, on the first call."""
    return grpc.aio.insecure_channel(f"unix:{socket}", options=CHANNEL_OPTIONS)


def server(socket: Path) -> tuple[grpc.aio.Server, HealthServicer]:
    """A gRPC server bound to `socket` (a stale file is replaced), with the health service.

    The socket is for its owner alone (mode 0600), and for the group as well (0660) where the folder was made
    for the group and nobody else: a unit's RuntimeDirectoryMode=0750. Set a service's status on the returned
    servicer; "" stands for the whole daemon.
    """
    socket.parent.mkdir(parents=True, exist_ok=True)
    folder = stat.S_IMODE(socket.parent.stat().st_mode)
    shared = folder & 0o050 == 0o050 and not folder & 0o007
    socket.unlink(missing_ok=True)
    grpc_server = grpc.aio.server(options=CHANNEL_OPTIONS)
    servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, grpc_server)
    # The file takes its mode from the umask at bind(2), which this call does.
    umask = os.umask(0o117 if shared else 0o177)
    try:
        grpc_server.add_insecure_port(f"unix:{socket}")
    finally:
        os.umask(umask)
    return grpc_server, servicer


def listen(address: str, tls: Tls | None) -> tuple[grpc.aio.Server, HealthServicer]:
    """As `server`, for an Address of the settings: "unix:/path", or "host:port" with mutual TLS.

    Raises SettingsError for a network address without `tls`, or one that cannot be bound.
    """
    if address.startswith("unix:"):
        return server(Path(address.removeprefix("unix:")))
    if tls is None:
        raise SettingsError(f"listen: {address}: needs `tls`; only unix sockets go without")
    grpc_server = grpc.aio.server(options=CHANNEL_OPTIONS, interceptors=(AllowedPeers(tls.peers),))
    servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, grpc_server)
    try:
        grpc_server.add_secure_port(address, credentials(tls))
    except RuntimeError as error:
        raise SettingsError(f"listen: {address}: cannot be bound; is the port taken?") from error
    return grpc_server, servicer


async def opens(address: str) -> None:
    """Returns once a connection to our own server at `address` was opened. Raises OSError where none is.

    Over the network it says nothing and goes: what is behind the door is for peers with a certificate.
    """
    if address.startswith("unix:"):
        _, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        # Bound to every address: any of them will do.
        _, writer = await asyncio.open_connection("127.0.0.1" if host == "0.0.0.0" else host, int(port))
    writer.close()
    await writer.wait_closed()


async def until_signal() -> signal.Signals:
    """Waits for SIGTERM or SIGINT and returns which."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[signal.Signals] = loop.create_future()

    def arrive(number: signal.Signals) -> None:
        if not arrived.done():
            arrived.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, arrive, number)
    return await arrived


async def end(tasks: Iterable[asyncio.Task[Any]]) -> list[BaseException]:
    """Cancels `tasks` until they have ended; returns what other than the cancellation ended them.

    Once is not enough: a library may take a cancellation for its own time-out (redis-py, seen in one of a
    dozen stops), and the task would go on for ever.
    """
    everyone = set(tasks)
    pending = everyone
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)
    return [error for task in everyone if not task.cancelled() and (error := task.exception()) is not None]


def run(
    daemon: str,
    monitoring: Monitoring,
    main: Callable[[], Awaitable[None]],
    reload: Callable[[], str] | None = None,
) -> None:
    """Runs `main` on uvloop with logging and metrics set up. `main` reports readiness with `notify`.

    SIGHUP calls `reload`, which says in a line what it did. No core dumps: memory holds what callers say and,
    for a moment, what they type (PCI DSS 4.0.1, 3.3.1).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A watchdog's SIGABRT leaves where each thread stood in the log: names of functions, no values.
    faulthandler.enable()
    # Until there is a loop to take it: by itself SIGHUP would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    notify.set_up_logging(monitoring, daemon)
    metrics.serve(monitoring)

    async def running() -> None:
        if reload is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, reload)
        await main()

    uvloop.run(running())


def _reload(reload: Callable[[], str]) -> None:
    notify.reloading()
    said = reload()
    log.warning("reload: %s", said)
    # The status of before comes back with the next round of the watchdog.
    notify.notify(f"READY=1\nSTATUS=reload: {said}")


__all__ = ["CHANNEL_OPTIONS", "channel", "end", "health", "listen", "opens", "run", "server", "until_signal"]
