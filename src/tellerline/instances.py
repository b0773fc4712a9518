"""The client side of a service with several instances: stays with the one that works, tries the next.

instances = Instances(settings.session, session_pb2_grpc.SessionStub)
reply = await instances.call("Append", request, within_seconds=5.0)
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import grpc

from tellerline.bootstrap import CHANNEL_OPTIONS
from tellerline.errors import SettingsError
from tellerline.settings import ServiceAddresses, Tls

log = logging.getLogger(__name__)

# gRPC takes the least back-off as the least time for connecting as well: 100 ms is too little for TLS across
# a network, and a black hole must not cost a caller more than a second.
_NETWORK_OPTIONS: tuple[tuple[str, int], ...] = (
    *(option for option in CHANNEL_OPTIONS if option[0] != "grpc.min_reconnect_backoff_ms"),
    ("grpc.min_reconnect_backoff_ms", 1000),
    # A peer that hangs or vanished is noticed between calls, not by the next one's deadline.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
)


class Stub(Protocol):
    """A generated stub class: made from a channel, one attribute an RPC."""

    def __call__(self, channel: Any, /) -> Any:
        """The stub over `channel`."""


class Instances:
    """Calls any instance of one service. Connects lazily, on the first call.

    Peers are told by the name in their certificate, which has to be one of `tls.peers`; the address plays no
    part in it. Certificates are read again when a file has changed and a call failed.
    """

    def __init__(self, service: ServiceAddresses, stub: Stub) -> None:
        """Raises SettingsError for a network address without `tls`."""
        self._stub = stub
        self._tls = service.tls
        self._doors = _doors(service)
        self._current = 0
        self._open: dict[int, tuple[grpc.aio.Channel, Any]] = {}
        self._read_at: tuple[float, ...] = ()

    async def __aenter__(self) -> Instances:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def call(self, rpc: str, request: Any, within_seconds: float) -> Any:
        """The reply of RPC `rpc` from the first instance that can be reached; the time is for all of them.

        Only UNAVAILABLE moves on to the next instance at once, so an RPC must bear being asked twice. After
        DEADLINE_EXCEEDED the next call begins with another. Raises grpc.aio.AioRpcError, the last one.
        """
        deadline = time.monotonic() + within_seconds
        failed: grpc.aio.AioRpcError | None = None
        for _ in self._doors:
            left = deadline - time.monotonic()
            if failed is not None and left <= 0:
                break
            index = self._current
            try:
                return await getattr(self._stub_of(index), rpc)(request, timeout=max(left, 0.001))
            except grpc.aio.AioRpcError as error:
                failed = error
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
                await self._move_on(index)
                if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise
        assert failed is not None
        raise failed

    async def close(self) -> None:
        """Closes every connection."""
        channels = [channel for channel, _ in self._open.values()]
        self._open.clear()
        for channel in channels:
            await channel.close()

    def _stub_of(self, index: int) -> Any:
        if index not in self._open:
            address, peer = self._doors[index]
            channel = self._channel(address, peer)
            self._open[index] = (channel, self._stub(channel))
        return self._open[index][1]

    def _channel(self, address: str, peer: str | None) -> grpc.aio.Channel:
        if peer is None:
            return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        assert self._tls is not None
        self._read_at = _changed_at(self._tls)
        credentials = grpc.ssl_channel_credentials(
            self._tls.authority.read_bytes(), self._tls.key.read_bytes(), self._tls.certificate.read_bytes()
        )
        options = (*_NETWORK_OPTIONS, ("grpc.ssl_target_name_override", peer))
        return grpc.aio.secure_channel(address, credentials, options=options)

    async def _move_on(self, index: int) -> None:
        # Calls that failed beside this one may have moved on already.
        if self._current == index:
            self._current = (index + 1) % len(self._doors)
            if len(self._doors) > 1:
                log.info(
                    "%s does not answer; trying %s", self._doors[index][0], self._doors[self._current][0]
                )
        if self._tls is not None and self._read_at and _changed_at(self._tls) != self._read_at:
            await self.close()


def _doors(service: ServiceAddresses) -> list[tuple[str, str | None]]:
    """(gRPC target, the peer's name or None for a unix socket): every way an instance may be reached.

    Every address by one name before any by another, beginning with the name in its own place of the list: the
    second name of a host that is gone would cost the caller another second, and is seldom the right one.
    """
    names = service.tls.peers if service.tls else ()
    doors: dict[tuple[str, str | None], None] = {}
    for turn in range(max(1, len(names))):
        network = 0
        for address in service.addresses:
            if address.startswith("unix:"):
                doors[address, None] = None
            elif not names:
                raise SettingsError(f"{address}: needs `tls`; only unix sockets go without")
            else:
                doors[address, names[(network + turn) % len(names)]] = None
                network += 1
    return list(doors)


def _changed_at(tls: Tls) -> tuple[float, ...]:
    def changed(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return tuple(changed(path) for path in (tls.certificate, tls.key, tls.authority))
