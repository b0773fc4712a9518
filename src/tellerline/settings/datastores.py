"""Settings of PostgreSQL and Redis, for the daemons that use them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tellerline.settings.concern import Concern


class DatabaseSettings(Concern):
    """PostgreSQL 15 or later, as this daemon's own role."""

    # libpq: "host=db1,db2 target_session_attrs=read-write dbname=tellerline user=tellerline_session".
    dsn: str
    # File (a systemd credential) with the password; None: peer or certificate authentication.
    password: Path | None = None
    pool_max: Annotated[int, Field(ge=1, le=64)] = 8


class RedisSettings(Concern):
    """Redis 7.0 or later; holds only what can be rebuilt."""

    # "redis://host:6379/0", "rediss://..." or "unix:///run/redis/redis.sock".
    url: str
    user: str | None = None
    password: Path | None = None
    # Redis Sentinel: "host:port" each; the url then gives only the database, and `sentinel_name` the primary.
    sentinels: tuple[str, ...] = ()
    sentinel_name: str | None = None
