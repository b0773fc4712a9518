"""How a daemon connects to PostgreSQL: its own role, a password read at every connection, a pool."""

from __future__ import annotations

import functools
from typing import Any

from psycopg import AsyncConnection, conninfo
from psycopg_pool import AsyncConnectionPool

from tellerline.errors import SettingsError
from tellerline.settings import DatabaseSettings

# A connection is tried for so long; whoever waits for one waits no longer than _WAIT_SECONDS: callers are on
# the telephone, and what cannot be stored now is spooled.
_CONNECT_SECONDS = 3
_WAIT_SECONDS = 2.0
# How fast a dead peer is noticed on TCP: 5 s of silence, then 2 probes 2 s apart; on unacknowledged data 5 s.
_KEEPALIVE = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
}


def parameters(settings: DatabaseSettings) -> dict[str, Any]:
    """Connection keywords for psycopg. Raises SettingsError for a bad DSN or an unreadable password file."""
    try:
        given = conninfo.conninfo_to_dict(settings.dsn)
    except Exception as error:
        raise SettingsError(f"database.dsn: {error}; see libpq's connection strings") from error
    return {
        "connect_timeout": _CONNECT_SECONDS,
        **_KEEPALIVE,
        "application_name": "tellerline",
        **{key: value for key, value in given.items() if value is not None},
        **_password(settings),
    }


def pool(settings: DatabaseSettings) -> AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]:
    """A pool that is not open yet: `await pool.open()` returns at once, whether the database is there or not.

    A connection nobody can give within 2 s raises psycopg_pool.PoolTimeout, an OperationalError.
    """
    return AsyncConnectionPool(
        # Read at every connection: a password is changed without a restart.
        kwargs=functools.partial(parameters, settings),
        min_size=1,
        max_size=settings.pool_max,
        timeout=_WAIT_SECONDS,
        # Growing pauses between attempts end here; the default is five minutes.
        reconnect_timeout=5.0,
        max_lifetime=1800.0,
        open=False,
    )


def _password(settings: DatabaseSettings) -> dict[str, str]:
    if settings.password is None:
        return {}
    try:
        return {"password": settings.password.read_text(encoding="utf-8").strip()}
    except OSError as error:
        raise SettingsError(
            f"database.password: {settings.password}: cannot be read ({error.strerror})"
        ) from error
