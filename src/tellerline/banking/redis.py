"""Redis: identities of running calls, sealed against who else writes there, and how the instances are."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tellerline.banking.authorisation import Identity, Level, Standing
from tellerline.banking.sealing import SealBroken, Sealing
from tellerline.errors import IdentitiesAway
from tellerline.monitoring import metrics

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

# Longer than any call; an end that was never told is forgotten by then.
_KEPT_SECONDS = 7200
_HEARD_SECONDS = 10
_STATES = "banking:states"
# A Redis that does not answer must not keep a caller waiting; database.redis asks twice.
PATIENCE_SECONDS = 0.15
# How much the clocks of two hosts may differ.
_SKEW_SECONDS = 5.0


class RedisIdentities:
    """books.Identities. A key for who it is, and one that lives for the idle time."""

    def __init__(self, client: Redis, sealing: Sealing, idle_seconds: int) -> None:
        self._client = client
        self._sealing = sealing
        self._idle_seconds = idle_seconds

    async def standing(self, call_id: str) -> Standing | None:
        """See books.Identities."""
        sealed, used = await _answer(self._client.mget(_who(call_id), _used(call_id)))
        if not isinstance(sealed, bytes):
            return None
        try:
            fields = json.loads(self._sealing.open(sealed, _who(call_id)))
        except SealBroken:
            metrics.BANKING_FORGED.inc()
            log.error("an identity in Redis was not written by this service; it is taken for nobody")
            return None
        identity = Identity(**fields | {"level": Level(fields["level"])})
        return Standing(identity, self._fresh(call_id, used))

    def _fresh(self, call_id: str, used: object) -> bool:
        if not isinstance(used, bytes):
            return False
        try:
            at = float(self._sealing.open(used, _used(call_id)))
        except SealBroken:
            metrics.BANKING_FORGED.inc()
            return False
        # The time is sealed too: who writes to Redis keeps no call fresh. A clock that jumps makes it stale.
        return -_SKEW_SECONDS <= time.time() - at < self._idle_seconds

    async def keep(self, identity: Identity) -> None:
        """See books.Identities."""
        value = json.dumps(asdict(identity)).encode()
        call_id = identity.call_id
        async with self._client.pipeline(transaction=True) as both:
            both.set(_who(call_id), self._sealing.seal(value, _who(call_id)), ex=_KEPT_SECONDS)
            both.set(_used(call_id), self._now(call_id), ex=self._idle_seconds)
            await _answer(both.execute())

    async def touch(self, call_id: str) -> None:
        """See books.Identities. Never brings back what was forgotten."""
        await _answer(self._client.set(_used(call_id), self._now(call_id), ex=self._idle_seconds, xx=True))

    async def forget(self, call_id: str) -> None:
        """See books.Identities."""
        await _answer(self._client.delete(_who(call_id), _used(call_id)))

    def _now(self, call_id: str) -> bytes:
        return self._sealing.seal(repr(time.time()).encode(), _used(call_id))


@dataclass(frozen=True, slots=True)
class InstanceState:
    """How one instance sees the bank and its database."""

    instance: str
    breaker: str
    money_closed: bool


class RedisStates:
    """The read side: what every instance sees, told by itself each second."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def tell(self, state: InstanceState) -> None:
        """Replaces what `state.instance` told before. Raises IdentitiesAway."""
        value = json.dumps({**asdict(state), "at": time.time()})
        async with self._client.pipeline(transaction=True) as both:
            both.hset(_STATES, state.instance, value)
            both.expire(_STATES, _KEPT_SECONDS)
            await _answer(both.execute())

    async def told(self) -> list[InstanceState]:
        """What the instances told of late, by name. Raises IdentitiesAway."""
        values = await _answer(self._client.hvals(_STATES))
        told = [json.loads(value) for value in values]
        heard = [state for state in told if time.time() - state.pop("at") < _HEARD_SECONDS]
        return sorted((InstanceState(**state) for state in heard), key=lambda state: state.instance)


def _who(call_id: str) -> str:
    return f"banking:who:{call_id}"


def _used(call_id: str) -> str:
    return f"banking:used:{call_id}"


async def _answer(asking: Awaitable[_Answer]) -> _Answer:
    try:
        return await asking
    except (RedisError, OSError) as error:
        raise IdentitiesAway(f"banking: Redis does not answer ({type(error).__name__})") from error
