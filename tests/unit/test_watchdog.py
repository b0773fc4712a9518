"""The service manager's protocol: who is fed, when, and what is said (sd_notify(3))."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tellerline import bootstrap, settings
from tellerline.cli.daemons import reread
from tellerline.monitoring import notify, watchdog

_SECONDS = 20.0


class Manager:
    """What systemd is to a daemon: a socket that takes its words."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(_SECONDS)

    def hears(self) -> str:
        """The next message; waits for it."""
        return self._socket.recv(4096).decode()

    async def hears_soon(self) -> str:
        """The same, while the loop goes on."""
        return await asyncio.to_thread(self.hears)

    def heard(self) -> list[str]:
        """What has arrived."""
        self._socket.setblocking(False)
        messages = []
        try:
            while True:
                messages.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return messages
        finally:
            self._socket.settimeout(_SECONDS)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    one = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    yield one
    one.close()


async def test_each_round_of_the_work_feeds_once(manager: Manager) -> None:
    rounds = asyncio.Semaphore(0)
    async with watchdog.fed(lambda: _acquire(rounds), lambda: "2 calls"):
        for _ in range(3):
            assert manager.heard() == []
            rounds.release()
            assert await manager.hears_soon() == "WATCHDOG=1\nSTATUS=2 calls"


async def _acquire(rounds: asyncio.Semaphore) -> None:
    await rounds.acquire()


async def test_work_that_fails_feeds_nothing(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    failing = asyncio.Event()
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            failing.set()
        raise RuntimeError("the balance of Emma Brown is")

    async with watchdog.fed(work, lambda: "well"):
        await failing.wait()
    assert manager.heard() == []
    assert "RuntimeError" in caplog.text
    assert "Emma" not in caplog.text


def test_a_watchdog_of_another_process_is_not_ours(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watchdog.watchdog_seconds() == 0.03
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert watchdog.watchdog_seconds() is None


def test_more_time_is_told_in_microseconds(manager: Manager) -> None:
    notify.more_time(1.5)
    assert manager.heard() == ["EXTEND_TIMEOUT_USEC=1500000"]


_DAEMON = """
import asyncio, sys
from tellerline import bootstrap
from tellerline.monitoring import notify
from tellerline.settings import Monitoring

async def main():
    notify.notify("READY=1")
    await bootstrap.until_signal()
    notify.notify("STOPPING=1")

bootstrap.run("daemon", Monitoring(), main, lambda: "taken")
"""


def test_sighup_is_a_reload_and_no_end(manager: Manager) -> None:
    daemon = subprocess.Popen([sys.executable, "-c", _DAEMON], stderr=subprocess.DEVNULL)
    try:
        assert manager.hears() == "READY=1"
        daemon.send_signal(signal.SIGHUP)
        assert manager.hears().startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert manager.hears() == "READY=1\nSTATUS=reload: taken"
        daemon.send_signal(signal.SIGTERM)
        assert manager.hears() == "STOPPING=1"
        assert daemon.wait(20) == 0
    finally:
        daemon.kill()
        daemon.wait()


def test_sigabrt_tells_where_the_threads_stood(manager: Manager) -> None:
    daemon = subprocess.Popen([sys.executable, "-c", _DAEMON], stderr=subprocess.PIPE, text=True)
    assert manager.hears() == "READY=1"
    daemon.send_signal(signal.SIGABRT)
    _, said = daemon.communicate(timeout=20)
    assert daemon.returncode == -signal.SIGABRT
    assert "Current thread" in said
    assert "until_signal" in said or "run" in said


def test_a_reload_takes_the_log_level_and_names_the_rest(tmp_path: Path) -> None:
    config = tmp_path / "connector.yml"
    running = settings.ConnectorSettings()
    config.write_text("monitoring: {log_level: debug}\nlane: 0-1\n")
    root_before = logging.getLogger().level
    try:
        said = reread(settings.ConnectorSettings, config, running)
    finally:
        logging.getLogger().setLevel(root_before)
    assert said == "log level is debug; a restart takes lane"


def test_a_reload_of_a_wrong_file_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "connector.yml"
    config.write_text("lnae: 0-1\n")
    assert reread(settings.ConnectorSettings, config, settings.ConnectorSettings()).startswith(
        "nothing taken"
    )


_LOGS = """
import logging
from tellerline.monitoring import notify
from tellerline.settings import Monitoring

notify.set_up_logging(Monitoring(), "daemon")
log = logging.getLogger("part")
log.info("well")
try:
    raise OSError("the disk")
except OSError:
    log.exception("unwell")
"""


@pytest.mark.parametrize("journal", [True, False])
def test_the_journal_gets_priorities(tmp_path: Path, journal: bool) -> None:
    with (tmp_path / "log").open("w") as log:
        here = os.fstat(log.fileno())
        stream = f"{here.st_dev}:{here.st_ino}" if journal else "1:1"
        done = subprocess.run(
            [sys.executable, "-c", _LOGS], stderr=log, env={**os.environ, "JOURNAL_STREAM": stream}
        )
    assert done.returncode == 0
    first, second, *traceback = (tmp_path / "log").read_text().splitlines()
    if journal:
        assert (first, second) == ("<6>INFO part well", "<3>ERROR part unwell")
        assert traceback and all(line.startswith("<3>") for line in traceback)
    else:
        assert first.endswith(" INFO daemon part well")


async def test_a_socket_is_its_groups_where_the_folder_is(tmp_path: Path) -> None:
    for mode, expected in ((0o750, 0o660), (0o700, 0o600), (0o755, 0o600)):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        server, _ = bootstrap.server(folder / "grpc.sock")
        await server.start()
        assert (folder / "grpc.sock").stat().st_mode & 0o777 == expected, f"{mode:o}"
        await bootstrap.opens(f"unix:{folder}/grpc.sock")
        await server.stop(None)


async def test_a_door_that_is_shut_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await bootstrap.opens(f"unix:{tmp_path}/none.sock")
