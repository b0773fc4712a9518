"""Banking's and the session service's side of the wire, on an event loop of its own thread."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import grpc

from tellerline import bootstrap
from tellerline.rpc import banking_pb2, banking_pb2_grpc, session_pb2, session_pb2_grpc


class SecretInput(banking_pb2_grpc.SecretInputServicer):
    """Keeps what it was asked to check, and answers what the test set."""

    def __init__(self) -> None:
        self.asked: list[banking_pb2.SecretRequest] = []
        self.outcome = banking_pb2.SecretReply.ACCEPTED

    async def Submit(
        self, request: banking_pb2.SecretRequest, context: grpc.aio.ServicerContext
    ) -> banking_pb2.SecretReply:
        self.asked.append(request)
        return banking_pb2.SecretReply(outcome=self.outcome)


class Session(session_pb2_grpc.SessionServicer):
    """Keeps each fact once, as the real one does; sets aside those of `refused` kinds."""

    def __init__(self) -> None:
        self.facts: dict[tuple[str, str, int], session_pb2.Record] = {}
        self.leases: list[session_pb2.LeaseRequest] = []
        self.refused: set[str] = set()
        self.away = False

    async def Append(
        self, request: session_pb2.AppendRequest, context: grpc.aio.ServicerContext
    ) -> session_pb2.AppendReply:
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Postgres is away")
        reply = session_pb2.AppendReply()
        for index, fact in enumerate(request.records):
            name = (fact.call_id, fact.producer, fact.sequence)
            if fact.WhichOneof("fact") in self.refused:
                reply.set_aside.add(index=index, reason="the test says so")
            elif name in self.facts:
                assert self.facts[name] == fact, "a fact told again has changed"
                reply.known += 1
            else:
                self.facts[name] = fact
                reply.stored += 1
        return reply

    async def Lease(
        self, request: session_pb2.LeaseRequest, context: grpc.aio.ServicerContext
    ) -> session_pb2.LeaseReply:
        self.leases.append(request)
        return session_pb2.LeaseReply()

    def kinds(self) -> list[str | None]:
        """The kinds of the facts of the one call, in the order of their numbers."""
        calls = {call_id for call_id, _, _ in self.facts}
        assert len(calls) <= 1, "more than one call"
        return [self.facts[name].WhichOneof("fact") for name in sorted(self.facts, key=lambda it: it[2])]

    def fact(self, kind: str) -> Any:
        """The one fact of a kind."""
        [found] = [getattr(it, kind) for it in self.facts.values() if it.WhichOneof("fact") == kind]
        return found


class Server:
    """One servicer on a unix socket. Close it; `start` again for its next life."""

    def __init__(self, path: Path, servicer: SecretInput | Session) -> None:
        self.path = path
        self._servicer = servicer
        self.start()

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        started = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(started),))
        self._thread.start()
        assert started.wait(10), "the service did not start"

    async def _serve(self, started: threading.Event) -> None:
        server, _ = bootstrap.server(self.path)
        if isinstance(self._servicer, SecretInput):
            banking_pb2_grpc.add_SecretInputServicer_to_server(self._servicer, server)  # type: ignore[no-untyped-call]
        else:
            session_pb2_grpc.add_SessionServicer_to_server(self._servicer, server)  # type: ignore[no-untyped-call]
        await server.start()
        started.set()
        await self._stop.wait()
        await server.stop(grace=None)

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
            self._loop.close()
