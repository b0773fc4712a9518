"""What the stack says about a conversation: the pipeline's Watch stream, followed during a call."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

from tellerline import bootstrap
from tellerline.rpc import conversation_pb2 as pb
from tellerline.rpc import conversation_pb2_grpc


class Watcher:
    """Follows the lanes behind `sockets` while its context is open; collects events by SIP Call-ID.

    A lane that refuses, or is no pipeline of ours, is left alone: the call goes on without its words.
    """

    def __init__(
        self,
        sockets: Sequence[Path],
        on_event: Callable[[pb.ConversationEvent], None] = lambda event: None,
    ) -> None:
        self._sockets = sockets
        self._on_event = on_event
        self.events: defaultdict[str, list[pb.ConversationEvent]] = defaultdict(list)
        # Lanes that refused, and why.
        self.refusals: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __aenter__(self) -> Watcher:
        connected = [asyncio.Event() for _ in self._sockets]
        self._tasks = [
            asyncio.create_task(self._follow(socket, ready))
            for socket, ready in zip(self._sockets, connected, strict=True)
        ]
        for ready in connected:
            await ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def watching(self) -> bool:
        """Whether any lane lets itself be watched."""
        return len(self.refusals) < len(self._sockets)

    async def ended(self, sip_call_id: str, seconds: float) -> None:
        """Waits until the pipeline has said its last about this call, at most so long."""
        if self.watching and self.events.get(sip_call_id):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended[sip_call_id].wait(), seconds)

    async def _follow(self, socket: Path, ready: asyncio.Event) -> None:
        async with bootstrap.channel(socket) as channel:
            stub = conversation_pb2_grpc.ConversationStub(channel)
            try:
                await asyncio.wait_for(channel.channel_ready(), 2.0)
                stream = stub.Watch(pb.WatchRequest())
                # The pipeline sends these once it has us among its watchers.
                await stream.initial_metadata()
                ready.set()
                async for event in stream:
                    self.events[event.sip_call_id].append(event)
                    self._on_event(event)
                    if event.WhichOneof("event") == "ended":
                        self._ended[event.sip_call_id].set()
            except TimeoutError:
                self.refusals.append(f"{socket}: nobody answers")
            except grpc.aio.AioRpcError as error:
                self.refusals.append(f"{socket}: {error.details()}")
            finally:
                ready.set()
