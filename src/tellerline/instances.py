"""The client side of a service with several instances: stays with the one that works, tries the next.

instances = Instances(settings.session, session_pb2_grpc.SessionStub)
reply = await instances.call("Append", request, within_seconds=5.0)
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
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


# How long calls may take that are under way when their connection is given up for one with new certificates.
_GRACE_SECONDS = 10.0
# How often a connection is looked at that nobody uses.
_LOOK_SECONDS = 10.0


class Stub(Protocol):
    """A generated stub class: made from a channel, one attribute an RPC."""

    def __call__(self, channel: Any, /) -> Any:
        """The stub over `channel`."""


@dataclass(frozen=True)
class _Door:
    """A connection to an instance, and when the files of its certificates were written."""

    channel: grpc.aio.Channel
    stub: Any
    written: tuple[float, ...] = ()


class Instances:
    """Calls any instance of one service. Connects lazily, on the first call.

    Peers are told by the name in their certificate, which has to be one of `tls.peers`; the address plays no
    part in it. Connections that stand outlive a change of certificates; one that fails after it is made anew
    with what the files say then, before the call is given up.
    """

    def __init__(self, service: ServiceAddresses, stub: Stub) -> None:
        """Raises SettingsError for a network address without `tls`."""
        self._stub = stub
        self._tls = service.tls
        self._doors = _doors(service)
        self._current = 0
        self._open: dict[int, _Door] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._look: asyncio.TimerHandle | None = None

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
        untried = len(self._doors)
        while untried:
            left = deadline - time.monotonic()
            if failed is not None and left <= 0:
                break
            index = self._current
            door = self._door(index)
            try:
                return await getattr(door.stub, rpc)(request, timeout=max(left, 0.001))
            except grpc.aio.AioRpcError as error:
                failed = error
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
                outdated = self._give_up_outdated(index, door)
                if outdated and error.code() == grpc.StatusCode.UNAVAILABLE:
                    continue
                self._move_on(index)
                if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise
            untried -= 1
        assert failed is not None
        raise failed

    async def close(self) -> None:
        """Closes every connection."""
        channels = [door.channel for door in self._open.values()]
        self._open.clear()
        if self._look is not None:
            self._look.cancel()
            self._look = None
        for channel in channels:
            await channel.close()
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _door(self, index: int) -> _Door:
        if index not in self._open:
            self._open[index] = self._opened(*self._doors[index])
            if self._look is None and self._open[index].written:
                self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_round)
        return self._open[index]

    def _opened(self, address: str, peer: str | None) -> _Door:
        if peer is None:
            channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
            return _Door(channel, self._stub(channel))
        assert self._tls is not None
        written = _written(self._tls)
        credentials = grpc.ssl_channel_credentials(
            self._tls.authority.read_bytes(), self._tls.key.read_bytes(), self._tls.certificate.read_bytes()
        )
        options = (*_NETWORK_OPTIONS, ("grpc.ssl_target_name_override", peer))
        channel = grpc.aio.secure_channel(address, credentials, options=options)
        return _Door(channel, self._stub(channel), written)

    def _move_on(self, index: int) -> None:
        # Calls that failed beside this one may have moved on already.
        if self._current == index:
            self._current = (index + 1) % len(self._doors)
            if len(self._doors) > 1:
                log.info(
                    "%s does not answer; trying %s", self._doors[index][0], self._doors[self._current][0]
                )

    def _give_up_outdated(self, index: int, door: _Door) -> bool:
        """Gives `door` up if the certificates have changed since; says whether they have."""
        if not door.written or self._tls is None or _written(self._tls) == door.written:
            return False
        self._give_up(index, door)
        return True

    def _give_up(self, index: int, door: _Door) -> None:
        if self._open.get(index) is door:
            del self._open[index]
            # Others may be waiting for an answer through it.
            closing = asyncio.create_task(door.channel.close(_GRACE_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _look_round(self) -> None:
        """Gives up connections that will not come to stand: each would be tried twice a second for ever."""
        standing = {
            self._doors[index][0]
            for index, door in self._open.items()
            if door.channel.get_state() is grpc.ChannelConnectivity.READY
        }
        for index, door in list(self._open.items()):
            if door.channel.get_state() is grpc.ChannelConnectivity.READY:
                continue
            if self._doors[index][0] in standing:
                # The instance at this address goes by another name.
                self._give_up(index, door)
            else:
                self._give_up_outdated(index, door)
        self._look = None
        if self._open:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_round)


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


def _written(tls: Tls) -> tuple[float, ...]:
    def at(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return tuple(at(path) for path in (tls.certificate, tls.key, tls.authority))
