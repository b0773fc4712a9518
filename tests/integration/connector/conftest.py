"""Fixtures of the connector's process tests."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# The telephone of raw sockets that the SIP tests dial with.
sys.path.append(str(Path(__file__).resolve().parents[2] / "calls" / "sip"))

from lane_processes import LaneMaker, LaneProcesses
from sip_phone import wait_until
from stand_in_services import SecretInput, Server, Session

from tellerline import embedded, settings
from tellerline.monitoring import health
from tellerline.settings import RecordingSettings, ServiceAddresses


@pytest.fixture
def make_lane() -> Iterator[LaneMaker]:
    """Starts a ready lane; keyword arguments are its connector settings."""
    with contextlib.ExitStack() as stack:

        def make(**changes: Any) -> LaneProcesses:
            # Not tmp_path: a unix socket's path must be short.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tlcon-"))
            lane = LaneProcesses(Path(folder), **changes)
            stack.callback(lane.close)
            lane.start_pipeline()
            lane.start_connector()
            lane.wait_ready()
            return lane

        yield make


@pytest.fixture
def real_session(fresh: embedded.Fresh, sockets: Path, tmp_path: Path) -> Iterator[ServiceAddresses]:
    """A session service as a process, over a fresh database."""
    key, config, log = (tmp_path / name for name in ("audit.key", "session.yml", "session.log"))
    key.write_bytes(base64.b64encode(os.urandom(32)))
    socket = sockets / "real-session.sock"
    chosen = settings.SessionSettings(
        listen=f"unix:{socket}",
        database=fresh.database("session"),
        redis=fresh.redis("session"),
        audit_key=key,
        audit_heads=tmp_path / "audit-heads",
    )
    config.write_text(settings.dump(chosen))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tellerline", "session", "--config", str(config)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: health.serving(socket), 30, "the session service")
        yield ServiceAddresses(addresses=(chosen.listen,))
    finally:
        process.terminate()
        process.wait(20)
        print(log.read_text())


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder for sockets: their paths must be short."""
    with tempfile.TemporaryDirectory(prefix="tlcon-") as folder:
        yield Path(folder)


@pytest.fixture
def banking(sockets: Path) -> Iterator[tuple[SecretInput, ServiceAddresses]]:
    """Where secrets go, and its address for a connector's settings."""
    servicer = SecretInput()
    with contextlib.closing(Server(sockets / "secrets.sock", servicer)) as server:
        yield servicer, ServiceAddresses(addresses=(f"unix:{server.path}",))


@pytest.fixture
def session(sockets: Path) -> Iterator[tuple[Session, Server, ServiceAddresses]]:
    """Where call records go: what it heard, the server to stop and start, its address."""
    servicer = Session()
    with contextlib.closing(Server(sockets / "session.sock", servicer)) as server:
        yield servicer, server, ServiceAddresses(addresses=(f"unix:{server.path}",))


@pytest.fixture
def site(tmp_path: Path) -> RecordingSettings:
    """Where recordings go, and a site key."""
    key = tmp_path / "site.key"
    key.write_bytes(base64.b64encode(os.urandom(32)))
    return RecordingSettings(folder=tmp_path / "recordings", site_key=key, key_id="2026")
