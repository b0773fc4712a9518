"""A door to the engine at which single services can be turned away, as if that part of it had died."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc


class EngineWithout(grpc.GenericRpcHandler):
    """Hands every call on to the engine, byte for byte, but for those of the services in `refused`."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self.refused: set[str] = set()
        self._lock = threading.Lock()
        self._turned_away: list[str] = []
        self._handed_on: list[str] = []

    def refuse(self, *services: str) -> None:
        """Turns these services away from now on, and no others."""
        with self._lock:
            self.refused = set(services)
            self._turned_away, self._handed_on = [], []

    @property
    def turned_away(self) -> list[str]:
        """Services that were asked for in vain since `refuse`."""
        with self._lock:
            return list(self._turned_away)

    @property
    def handed_on(self) -> list[str]:
        """Services that were asked since `refuse`."""
        with self._lock:
            return list(self._handed_on)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """One handler for all: on the wire a single message is a stream of one."""

        def hand_on(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            name = details.method.split("/")[1].rpartition(".")[2]
            with self._lock:
                refused = name in self.refused
                (self._turned_away if refused else self._handed_on).append(name)
            if refused:
                context.abort(grpc.StatusCode.UNAVAILABLE, "taken away")
            asked = self._channel.stream_stream(details.method)(requests, timeout=context.time_remaining())
            context.add_callback(asked.cancel)
            try:
                yield from asked
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.stream_stream_rpc_method_handler(hand_on)


@contextlib.contextmanager
def standing(socket: Path, engine: Path) -> Iterator[EngineWithout]:
    """The door at `socket`, before the engine at `engine`."""
    with grpc.insecure_channel(f"unix:{engine}") as channel:
        door = EngineWithout(channel)
        server = grpc.server(futures.ThreadPoolExecutor(32), handlers=(door,))
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        try:
            yield door
        finally:
            server.stop(1).wait()
