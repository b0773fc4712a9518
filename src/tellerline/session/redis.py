"""The read side: calls as JSON in Redis, each with the version it was built from, and the event stream.

session:call:<call_id>   hash: version, json        kept for the context's TTL after the last change
session:live             set of the open calls' ids
session:built            there once the views were built; gone with them when Redis is flushed
session:events           stream of {call_id, kind}; hints, the truth is in PostgreSQL
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

import redis
from redis.asyncio import Redis

from tellerline.errors import ViewsAway
from tellerline.session.model import Call

_LIVE = "session:live"
_BUILT = "session:built"
_EVENTS = "session:events"
_GROUP = "views"
# Redis trims whole nodes at once ("~"), which is cheap.
_EVENTS_KEPT = 20_000
# Two builders may hold different versions of one call: the newer one stays, whoever comes last.
_SHOW = """
local shown = redis.call('HGET', KEYS[1], 'version')
if shown and tonumber(shown) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'json', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
if ARGV[4] == 'open' then redis.call('SADD', KEYS[2], ARGV[5])
else redis.call('SREM', KEYS[2], ARGV[5]) end
return 1
"""
# A new group hears of nothing that was told before it, so the views there are may be old: both at once, or an
# instance that dies in between leaves old views that count as built.
_JOIN = """
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '$', 'MKSTREAM')
if made.err then
    if string.find(made.err, 'BUSYGROUP', 1, true) then return 0 end
    return made
end
redis.call('DEL', KEYS[2])
return 1
"""


class RedisViews:
    """Implements ports.Views, and carries the event stream."""

    def __init__(self, client: Redis, ttl_seconds: int) -> None:
        self._client = client
        self._ttl_seconds = ttl_seconds
        self._show_script = client.register_script(_SHOW)
        self._join_script = client.register_script(_JOIN)

    async def find(self, call_id: str) -> Call | None:
        """The call as last shown; None where it is not."""
        with _away():
            found = await cast(Any, self._client.hget(_key(call_id), "json"))
        return _call(found) if found is not None else None

    async def live(self) -> list[Call]:
        """Every open call, oldest first."""
        with _away():
            call_ids = [call_id.decode() for call_id in await cast(Any, self._client.smembers(_LIVE))]
            async with self._client.pipeline(transaction=False) as pipeline:
                for call_id in call_ids:
                    pipeline.hget(_key(call_id), "json")
                pipeline.exists(_BUILT)
                *texts, built = await pipeline.execute()
        if not built:
            raise ViewsAway("redis: the views are not built yet")
        # One that was shown too long ago is no longer known to be open.
        calls = [_call(text) for text in texts if text is not None]
        return sorted(calls, key=lambda call: (call.opened_unix_ms, call.call_id))

    async def show(self, call: Call) -> None:
        """Shows `call`, unless a newer version of it is shown."""
        with _away():
            await self._show_script(
                keys=[_key(call.call_id), _LIVE],
                args=[call.version, call.to_json(), self._ttl_seconds, call.state, call.call_id],
            )

    async def hide(self, call_id: str) -> None:
        """Forgets the call."""
        with _away():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.delete(_key(call_id))
                pipeline.srem(_LIVE, call_id)
                await pipeline.execute()

    async def hide_all(self) -> None:
        """Forgets every call; the stream stays."""
        with _away():
            await self._client.delete(_LIVE, _BUILT)
            async for key in self._client.scan_iter(match=_key("*"), count=500):
                await self._client.delete(key)

    # ---- the stream

    async def publish(self, events: Sequence[tuple[str, str]]) -> None:
        """Adds events (call_id, kind) to the stream, in order."""
        with _away():
            async with self._client.pipeline(transaction=True) as pipeline:
                for call_id, kind in events:
                    pipeline.xadd(
                        _EVENTS, {"call_id": call_id, "kind": kind}, maxlen=_EVENTS_KEPT, approximate=True
                    )
                await pipeline.execute()

    async def join(self) -> None:
        """Makes the consumer group where it is not there, and has the views built anew after it."""
        with _away():
            await self._join_script(keys=[_EVENTS, _BUILT], args=[_GROUP])

    async def are_built(self) -> bool:
        """Whether the views were ever built since Redis was last empty."""
        with _away():
            return bool(await self._client.exists(_BUILT))

    async def set_built(self) -> None:
        """The views are complete."""
        with _away():
            await self._client.set(_BUILT, 1)

    async def adopt(self, consumer: str, idle_ms: int) -> list[tuple[bytes, str]]:
        """Events another consumer took `idle_ms` ago and never acknowledged: (id, call_id).

        Raises LookupError when the group is gone.
        """
        with _away(), _group_gone():
            reply = await self._client.xautoclaim(_EVENTS, _GROUP, consumer, idle_ms, count=100)
        return _events(reply[1])

    async def take(self, consumer: str, wait_ms: int) -> list[tuple[bytes, str]]:
        """The next events: (id, call_id); none after `wait_ms`. Raises LookupError when the group is gone."""
        with _away(), _group_gone():
            # With RESP2 (database/redis.py): [[stream, [(id, fields), ...]]].
            reply: Any = await self._client.xreadgroup(
                _GROUP, consumer, {_EVENTS: ">"}, count=100, block=wait_ms
            )
        return _events(reply[0][1]) if reply else []

    async def acknowledge(self, ids: Sequence[bytes]) -> None:
        """These events are dealt with."""
        with _away():
            await self._client.xack(_EVENTS, _GROUP, *ids)


def _call(text: bytes) -> Call:
    try:
        return Call.from_json(text)
    except (ValueError, TypeError, KeyError) as error:
        # Written by another release, while one follows the other.
        raise ViewsAway("redis: a view is not as this release writes it") from error


def _key(call_id: str) -> str:
    return f"session:call:{call_id}"


def _events(entries: Any) -> list[tuple[bytes, str]]:
    # An entry that was trimmed away while it was pending comes without fields.
    return [(entry_id, fields[b"call_id"].decode() if fields else "") for entry_id, fields in entries]


@contextlib.contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise ViewsAway(f"redis: {type(error).__name__}") from error


@contextlib.contextmanager
def _group_gone() -> Iterator[None]:
    try:
        yield
    except redis.ResponseError as error:
        if str(error).startswith(("NOGROUP", "UNBLOCKED")):
            raise LookupError("the consumer group is gone") from error
        raise
