"""How a daemon finds Redis: directly, or through Sentinels, with TLS to whomever the URL says so."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

from tellerline.database import redis
from tellerline.errors import SettingsError
from tellerline.settings import RedisSettings

SENTINELS = ("192.0.2.31:26379", "192.0.2.32:26379")


def pool(url: str, **further: Any) -> Any:
    return redis.client(RedisSettings(url=url, **further)).connection_pool


def watchers(found: Any) -> list[Any]:
    assert isinstance(found, SentinelConnectionPool)
    sentinel = found.sentinel_manager
    assert isinstance(sentinel, Sentinel)
    return [client.connection_pool for client in sentinel.sentinels]


def test_tls_to_the_sentinels_and_to_the_primary_they_name() -> None:
    found = pool(
        "rediss:///2?ssl_ca_certs=/etc/pki/authority.pem", sentinels=SENTINELS, sentinel_name="tellerline"
    )
    assert issubclass(found.connection_class, SSLConnection)
    assert found.connection_kwargs["ssl_ca_certs"] == "/etc/pki/authority.pem"
    assert found.connection_kwargs["db"] == 2
    for watcher in watchers(found):
        assert watcher.connection_class is SSLConnection
        assert watcher.connection_kwargs["ssl_ca_certs"] == "/etc/pki/authority.pem"


def test_sentinels_without_tls() -> None:
    found = pool("redis://ignored:6379/0", sentinels=SENTINELS, sentinel_name="tellerline")
    assert found.connection_class is SentinelManagedConnection
    assert [watcher.connection_kwargs["host"] for watcher in watchers(found)] == ["192.0.2.31", "192.0.2.32"]


def test_directly() -> None:
    found = pool("rediss://192.0.2.31:6379/0?ssl_ca_certs=/etc/pki/authority.pem")
    assert found.connection_class is SSLConnection
    assert found.connection_kwargs["host"] == "192.0.2.31"


def test_sentinels_want_the_primarys_name() -> None:
    with pytest.raises(SettingsError, match="sentinel_name"):
        pool("redis:///0", sentinels=SENTINELS)
