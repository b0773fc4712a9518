"""Session services as processes, over databases nobody else uses."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tellerline import embedded, settings
from tellerline.instances import Instances
from tellerline.monitoring import health
from tellerline.rpc import session_pb2_grpc
from tellerline.settings import SessionSettings

_READY_SECONDS = 30.0


class Service:
    """One instance: its settings, its process."""

    def __init__(self, chosen: SessionSettings, folder: Path) -> None:
        self.settings = chosen
        self.address = chosen.listen
        self.socket = Path(chosen.listen.removeprefix("unix:"))
        self.config = folder / "session.yml"
        self.config.write_text(settings.dump(chosen), encoding="utf-8")
        self.log = folder / "session.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = (sys.executable, "-m", "tellerline", "session", "--config", str(self.config))
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + _READY_SECONDS
        while not health.serving(self.socket):
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(20)
        self._process = None
        return status


Start = Callable[..., Service]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Start]:
    """Starts instances: `start_service(fresh, **settings)`; what still runs is stopped afterwards."""
    running: list[Service] = []
    sockets = Path(tempfile.mkdtemp(prefix="tellerline-session-"))
    key = tmp_path / "audit.key"
    key.write_text(base64.b64encode(os.urandom(32)).decode(), encoding="ascii")

    def start(over: embedded.Fresh | embedded.Datastores, **changes: object) -> Service:
        folder = tmp_path / f"instance-{len(running)}"
        folder.mkdir()
        chosen = SessionSettings.model_validate(
            {
                "listen": f"unix:{sockets / f'{len(running)}.sock'}",
                "database": over.database("session"),
                "redis": over.redis("session"),
                "audit_key": key,
                "audit_heads": folder / "heads",
                "orphan_grace_seconds": 0.5,
                **changes,
            }
        )
        service = Service(chosen, folder)
        running.append(service)
        service.start()
        return service

    yield start
    for service in running:
        service.stop()
    for socket in sockets.iterdir():
        socket.unlink()
    sockets.rmdir()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Instances]]:
    """Clients of the instances given: `connect(service, service)`."""
    opened: list[Instances] = []

    def make(*services: Service) -> Instances:
        addresses = tuple(service.address for service in services)
        instances = Instances(settings.ServiceAddresses(addresses=addresses), session_pb2_grpc.SessionStub)
        opened.append(instances)
        return instances

    yield make
    for instances in opened:
        await instances.close()


@pytest.fixture
def service(start_service: Start, fresh: embedded.Fresh) -> Service:
    return start_service(fresh)


@pytest.fixture
def client(connect: Callable[..., Instances], service: Service) -> Instances:
    return connect(service)


@pytest.fixture
def call_id() -> str:
    return str(uuid.uuid4())
