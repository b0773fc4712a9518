"""Who watches the conversations of this lane: bounded queues that never hold up a call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tellerline.rpc import conversation_pb2 as pb

# A watcher this far behind misses events rather than costing memory.
QUEUED_EVENTS = 1000


class Watchers:
    """Subscribers to ConversationEvents."""

    def __init__(self) -> None:
        self._queues: dict[asyncio.Queue[pb.ConversationEvent], str] = {}

    def publish(self, event: pb.ConversationEvent) -> None:
        """Hands `event` to whoever watches its call, without waiting."""
        for queue, sip_call_id in self._queues.items():
            if not sip_call_id or sip_call_id == event.sip_call_id:
                with contextlib.suppress(asyncio.QueueFull):
                    queue.put_nowait(event)

    async def watch(self, sip_call_id: str) -> AsyncIterator[pb.ConversationEvent]:
        """Events of one call, or of all when `sip_call_id` is empty, until the iterator is closed."""
        queue: asyncio.Queue[pb.ConversationEvent] = asyncio.Queue(QUEUED_EVENTS)
        self._queues[queue] = sip_call_id
        try:
            while True:
                yield await queue.get()
        finally:
            del self._queues[queue]
