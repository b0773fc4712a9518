"""Who watches the conversations of this lane: bounded queues that never hold up a call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

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

    @contextlib.contextmanager
    def watch(self, sip_call_id: str) -> Iterator[asyncio.Queue[pb.ConversationEvent]]:
        """A queue of the events of one call, or of all when `sip_call_id` is empty, from now on."""
        queue: asyncio.Queue[pb.ConversationEvent] = asyncio.Queue(QUEUED_EVENTS)
        self._queues[queue] = sip_call_id
        try:
            yield queue
        finally:
            del self._queues[queue]
