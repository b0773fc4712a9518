"""How a daemon connects to Redis (or Valkey): directly, or to the primary its Sentinels name."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from tellerline.errors import SettingsError
from tellerline.settings import RedisSettings

# What Redis holds can be had elsewhere: nobody waits long for it.
_CONNECT_SECONDS = 1.0
_REPLY_SECONDS = 2.0


def client(settings: RedisSettings, reply_seconds: float = _REPLY_SECONDS) -> Redis:
    """A client that connects at its first command. Replies are bytes; close it with `aclose()`.

    Commands raise redis.RedisError (redis.ConnectionError, redis.TimeoutError where nobody answers), once:
    what to do without Redis is the caller's matter. Raises SettingsError for settings that cannot work.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": _CONNECT_SECONDS,
        "socket_timeout": reply_seconds,
        "username": settings.user,
        "password": _password(settings),
        # RESP2: all that Redis 7.0 needs, and push messages would only be in the way.
        "protocol": 2,
    }
    if not settings.sentinels:
        return Redis.from_url(
            settings.url,
            # One more try: a pooled connection may have died with the server's last life.
            retry=_once_more(),
            health_check_interval=30,
            **{key: value for key, value in options.items() if value is not None},
        )
    if settings.sentinel_name is None:
        raise SettingsError("redis.sentinel_name: is missing; give the name the Sentinels watch it by")
    watchers = [(host, int(port)) for host, _, port in (s.rpartition(":") for s in settings.sentinels)]
    tls, database = _of_url(settings.url)
    asking = {"socket_timeout": _CONNECT_SECONDS, **tls}
    sentinel = Sentinel(watchers, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    found: Redis = sentinel.master_for(
        settings.sentinel_name, db=database, retry=_once_more(), **options, **tls
    )
    return found


def _of_url(url: str) -> tuple[dict[str, Any], int]:
    """What `url` says of TLS (Sentinels and the servers they name speak it alike), and its database."""
    given = parse_url(url)
    tls = {key: value for key, value in given.items() if key.startswith("ssl_")}
    if given.get("connection_class") is SSLConnection:
        tls["ssl"] = True
    return tls, int(given.get("db", 0))


def _once_more() -> Any:
    return Retry(NoBackoff(), 1)


def _password(settings: RedisSettings) -> str | None:
    if settings.password is None:
        return None
    try:
        return settings.password.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"redis.password: {settings.password}: cannot be read ({error.strerror})"
        ) from error
