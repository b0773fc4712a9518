"""The embedded stack's state file, ports, and the supervision of its daemons."""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pydantic
import pytest

from tellerline import stack
from tellerline.errors import StackError
from tellerline.supervisor import Supervisor, Unit

LANE = stack.Lane(
    "cpu-0", "sip:tellerline@127.0.0.1:5070", Path("p.sock"), Path("c.sock"), Path("spool"), 2, 3
)
DEADLINE_SECONDS = 20


def write(home: Path, state: stack.State) -> None:
    stack.state_file(home).parent.mkdir(parents=True)
    stack.state_file(home).write_bytes(pydantic.TypeAdapter(stack.State).dump_json(state))


def test_no_state_file_means_no_stack(tmp_path: Path) -> None:
    assert not stack.is_running(tmp_path)
    with pytest.raises(StackError, match="tellerline up"):
        stack.read_state(tmp_path)


def test_the_state_reads_back_as_written(tmp_path: Path) -> None:
    state = stack.State(os.getpid(), Path("e.sock"), 4, (LANE,), Path("log"))
    write(tmp_path, state)
    assert stack.read_state(tmp_path) == state


def test_a_state_file_left_by_a_dead_process_is_no_stack(tmp_path: Path) -> None:
    gone = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(gone, 0)
    write(tmp_path, stack.State(gone, None, None, (LANE,), Path("log")))
    assert not stack.is_running(tmp_path)


def test_a_taken_port_is_passed_over(free_port: Callable[[], int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        port = free_port()
        other.bind(("127.0.0.1", port))
        assert stack.free_udp_port("127.0.0.1", port) > port


def test_overrides_reach_nested_settings_and_leave_the_rest() -> None:
    base = stack.settings.ConnectorSettings()
    changed = stack.overridden(base, {"sip": {"port": 5099}})
    assert changed.sip.port == 5099
    assert changed.sip.rtp_port_first == base.sip.rtp_port_first
    with pytest.raises(pydantic.ValidationError):
        stack.overridden(base, {"sip": {"prot": 1}})


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
    return pid is not None and stack.psutil.pid_exists(pid)


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
