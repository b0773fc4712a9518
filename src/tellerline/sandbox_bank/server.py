"""Serves the sandbox bank on a port of this machine."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from tellerline.sandbox_bank import app, seed

_GRACE_SECONDS = 1


def listening(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening socket: a client that connects from now on is served as soon as the server runs."""
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it each answer on a kept
    # connection took 47 ms instead of 1 (delayed acknowledgement).
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(128)
    return sock


def base_url(sock: socket.socket, scheme: str = "http") -> str:
    """What BankSettings.base_url is for a bank served on `sock`."""
    host, port = sock.getsockname()[:2]
    return f"{scheme}://{host}:{port}{app.BASE_PATH}"


async def serve(bank: app.SandboxBank, sock: socket.socket) -> None:
    """Serves `bank` until SIGINT or SIGTERM; hanging requests are let go at the end."""
    await _Server(bank).serve(sockets=[sock])


@asynccontextmanager
async def running(
    bank: app.SandboxBank | None = None, **tls: Any
) -> AsyncIterator[tuple[app.SandboxBank, str]]:
    """A sandbox bank in this event loop, and its base_url. `tls`: uvicorn's ssl_* settings."""
    served = bank or app.SandboxBank(seed.load())
    with listening() as sock:
        server = _GuestServer(served, **tls)
        task = asyncio.create_task(server.serve([sock]), name="sandbox bank")
        try:
            yield served, base_url(sock, "https" if tls else "http")
        finally:
            server.should_exit = True
            await task


class _Server(uvicorn.Server):
    def __init__(self, bank: app.SandboxBank, **tls: Any) -> None:
        config = uvicorn.Config(
            app.build(bank),
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_SECONDS,
            **tls,
        )
        super().__init__(config)
        self._bank = bank

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets go of hanging requests first."""
        self._bank.behaviour.release()
        await super().shutdown(sockets)


class _GuestServer(_Server):
    """A server that leaves the signals to the process it is a guest in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
