"""The supervision of daemons: restarts, a limit, stopping, and faults of the supervisor's own."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tellerline.supervisor import Supervisor, Unit

DEADLINE_SECONDS = 20


class Events:
    """What a supervisor tells, waited for."""

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __call__(self, unit: str, what: str) -> None:
        self._told.put(what)

    def until(self, part: str) -> None:
        while part not in self._told.get(timeout=DEADLINE_SECONDS):
            pass


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def supervisor(events: Events) -> Iterator[Supervisor]:
    supervisor = Supervisor(events)
    yield supervisor
    supervisor.close()


def unit(tmp_path: Path, code: str, stop_seconds: float = DEADLINE_SECONDS) -> Unit:
    return Unit("daemon", (sys.executable, "-c", code), tmp_path / "daemon.log", stop_seconds)


def alive(pid: int | None) -> bool:
    return pid is not None and psutil.pid_exists(pid)


def test_a_killed_daemon_comes_back(supervisor: Supervisor, events: Events, tmp_path: Path) -> None:
    supervisor.start(unit(tmp_path, "import signal; signal.pause()"))
    first = supervisor.pid("daemon")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    events.until("died of SIGKILL")
    events.until("restarted")
    second = supervisor.pid("daemon")
    assert alive(second) and second != first
    supervisor.stop("daemon")
    assert supervisor.pid("daemon") is None and not alive(second)


def test_a_daemon_that_keeps_dying_is_given_up(
    supervisor: Supervisor, events: Events, tmp_path: Path
) -> None:
    supervisor.start(unit(tmp_path, "print('cannot', flush=True); raise SystemExit(3)"))
    events.until("not restarted")
    assert supervisor.exits("daemon") == 6
    assert supervisor.last_status("daemon") == 3
    assert (tmp_path / "daemon.log").read_text() == "cannot\n" * 6


def test_a_daemon_deaf_to_sigterm_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    code = (
        f"import signal; signal.signal(15, signal.SIG_IGN); open({str(ready)!r}, 'w').close(); signal.pause()"
    )
    supervisor.start(unit(tmp_path, code, stop_seconds=0.2))
    ready.read_bytes()
    supervisor.stop("daemon")
    assert supervisor.last_status("daemon") == -signal.SIGKILL


def test_a_restart_that_cannot_be_tried_is_tried_again(
    supervisor: Supervisor, events: Events, tmp_path: Path
) -> None:
    logs = tmp_path / "log"
    logs.mkdir()
    code = "import signal; signal.pause()"
    supervisor.start(Unit("daemon", (sys.executable, "-c", code), logs / "daemon.log", DEADLINE_SECONDS))
    pid = supervisor.pid("daemon")
    assert pid is not None
    shutil.rmtree(logs)
    os.kill(pid, signal.SIGKILL)
    events.until("cannot be started (No such file or directory), restarting")
    logs.mkdir()
    events.until("restarted")
    assert alive(supervisor.pid("daemon"))
    assert supervisor.exits("daemon") >= 2
    supervisor.stop("daemon")
    assert supervisor.pid("daemon") is None


def test_a_listener_that_fails_does_not_end_the_supervision(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen(unit: str, what: str) -> None:
        told.put(what)
        raise OSError("no space left for the state file")

    supervisor = Supervisor(listen)
    supervisor.start(unit(tmp_path, "import signal; signal.pause()"))
    first = supervisor.pid("daemon")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert [told.get(timeout=DEADLINE_SECONDS) for _ in range(2)] == [
        "died of SIGKILL, restarting",
        "restarted",
    ]
    assert alive(supervisor.pid("daemon"))
    supervisor.close()
    assert "telling that daemon died of SIGKILL" in caplog.text
