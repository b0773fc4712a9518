"""What settings are made of, whichever daemon they are for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field

# sockaddr_un.sun_path on Linux, less the terminating NUL (unix(7)).
_UNIX_PATH_MAX = 107


def _short_enough(path: Path) -> Path:
    if len(os.fsencode(path)) > _UNIX_PATH_MAX:
        raise ValueError(
            f"is {len(os.fsencode(path))} bytes; a unix socket path holds at most {_UNIX_PATH_MAX}, "
            "choose a shorter folder such as /run/tellerline"
        )
    return path


SocketPath = Annotated[Path, pydantic.AfterValidator(_short_enough)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Concern(pydantic.BaseModel):
    """Base of all settings: frozen, and a key that does not exist is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Monitoring(Concern):
    """Where a daemon shows its metrics and what it logs."""

    metrics_host: str = "127.0.0.1"
    # None: no metrics endpoint.
    metrics_port: Port | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Tls(Concern):
    """Mutual TLS between hosts; unix sockets need none. PEM files, read again when they change."""

    certificate: Path
    key: Path
    authority: Path
    # Common names of the peers this daemon talks to; anybody else is refused.
    peers: Annotated[tuple[str, ...], Field(min_length=1)]


# "unix:/run/tellerline/session.sock" or "host:port".
Address = Annotated[str, Field(pattern=r"^(unix:/.+|[^:/\s]+:\d{1,5})$")]


class ServiceAddresses(Concern):
    """Where the instances of one service listen; any of them will do, the next is tried when one is away."""

    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]
    # For addresses that are not unix sockets.
    tls: Tls | None = None
