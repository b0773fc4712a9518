"""Runs daemons as child processes the way systemd would: restarted with a limit, stopped in order."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import queue
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# As the systemd units: StartLimitBurst=5 within StartLimitIntervalSec=60, RestartSec=200ms.
_RESTARTS = 5
_RESTART_WINDOW_SECONDS = 60.0
_RESTART_SECONDS = 0.2


@dataclass(frozen=True)
class Unit:
    """One daemon: its name, its command, where standard output and error go, how long SIGTERM may take."""

    name: str
    command: tuple[str, ...]
    log: Path
    stop_seconds: float = 10.0


@dataclass(eq=False)
class _Child:
    unit: Unit
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    stopping: bool = False
    gave_up: bool = False
    last_status: int | None = None
    exits: list[float] = field(default_factory=list)
    restart_at: float | None = None
    down: threading.Event = field(default_factory=threading.Event)


class Supervisor:
    """Starts units, restarts those that die, stops those it is told to. Safe to use from any thread.

    All children are forked by one thread of its own: their parent-death signal (prctl(2),
    PR_SET_PDEATHSIG) is tied to the thread that forked them, not to the process.
    `on_event(unit name, what happened)` is called from that thread; what it raises is logged.
    A restart that cannot be tried (no memory, no disk for the log) counts as another death.
    """

    def __init__(self, on_event: Callable[[str, str], None]) -> None:
        self._on_event = on_event
        self._children: dict[str, _Child] = {}
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        self._thread.start()

    def start(self, unit: Unit) -> None:
        """Starts `unit`. Raises OSError if its command cannot be executed."""
        self._do(lambda: self._spawn(self._children.setdefault(unit.name, _Child(unit))))

    def pid(self, name: str) -> int | None:
        """The unit's process now; None while it is down, or if there is no such unit."""
        child = self._children.get(name)
        return child.process.pid if child is not None and child.process is not None else None

    def exits(self, name: str) -> int:
        """How often the unit ended without being told to."""
        return len(self._children[name].exits)

    def last_status(self, name: str) -> int | None:
        """Exit status of the unit's last process, negative for a signal; None if it never ended."""
        return self._children[name].last_status

    def gave_up(self, name: str) -> bool:
        """True when the unit died too often and is no longer restarted."""
        return self._children[name].gave_up

    def stop(self, *names: str) -> None:
        """SIGTERM to all of `names` at once, SIGKILL to what is left after its stop_seconds; waits."""
        children = [self._children[name] for name in names if name in self._children]
        for child in children:
            self._do(functools.partial(self._terminate, child))
        for child in children:
            if not child.down.wait(child.unit.stop_seconds):
                self._do(functools.partial(self._signal, child, signal.SIGKILL))
                child.down.wait()

    def close(self) -> None:
        """Stops whatever still runs, and the supervising thread."""
        if self._closed:
            return
        self.stop(*self._children)
        self._do(self._finish)
        self._thread.join()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # ---- on the supervising thread

    def _do(self, job: Callable[[], Any]) -> Any:
        done: Future[Any] = Future()
        self._jobs.put((job, done))
        os.write(self._wake_write, b".")
        return done.result()

    def _finish(self) -> None:
        self._closed = True

    def _loop(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select(self._until_restart()):
                if key.data is None:
                    self._run_jobs()
                else:
                    self._ended(key.data)
            now = time.monotonic()
            for child in self._children.values():
                if child.restart_at is not None and child.restart_at <= now:
                    self._restart(child)

    def _until_restart(self) -> float | None:
        due = [child.restart_at for child in self._children.values() if child.restart_at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _run_jobs(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        while not self._jobs.empty():
            job, done = self._jobs.get()
            try:
                done.set_result(job())
            except Exception as error:
                done.set_exception(error)

    def _spawn(self, child: _Child) -> None:
        # A session of its own: Ctrl-C in the terminal reaches `up` alone, which stops daemons in order.
        setpriv = shutil.which("setpriv")
        orphan_guard = (setpriv, "--pdeathsig", "TERM") if setpriv else ()
        with child.unit.log.open("ab") as output:
            process = subprocess.Popen(
                (*orphan_guard, *child.unit.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            child.pidfd = os.pidfd_open(process.pid)
            self._selector.register(child.pidfd, selectors.EVENT_READ, child)
        except OSError:
            # Unwatched it could neither be restarted nor stopped.
            process.kill()
            process.wait()
            raise
        child.process = process
        child.down.clear()

    def _restart(self, child: _Child) -> None:
        child.restart_at = None
        try:
            self._spawn(child)
        except OSError as error:
            log.error("%s cannot be started: %s", child.unit.name, error)
            self._died(child, f"cannot be started ({error.strerror})")
        else:
            self._tell(child, "restarted")

    def _ended(self, child: _Child) -> None:
        assert child.process is not None
        self._selector.unregister(child.pidfd)
        os.close(child.pidfd)
        status = child.last_status = child.process.wait()
        child.process = None
        child.down.set()
        if not child.stopping:
            self._died(child, ended(status))

    def _died(self, child: _Child, how: str) -> None:
        now = time.monotonic()
        child.exits.append(now)
        if sum(now - at < _RESTART_WINDOW_SECONDS for at in child.exits) > _RESTARTS:
            child.gave_up = True
            self._tell(child, f"{how} again, not restarted; see {child.unit.log}")
        else:
            child.restart_at = now + _RESTART_SECONDS
            self._tell(child, f"{how}, restarting")

    def _tell(self, child: _Child, what: str) -> None:
        try:
            self._on_event(child.unit.name, what)
        except Exception:
            # Whoever listens must not end the supervision: stop() would wait for ever.
            log.exception("telling that %s %s failed", child.unit.name, what)

    def _terminate(self, child: _Child) -> None:
        child.stopping = True
        child.restart_at = None
        if child.process is None:
            child.down.set()
        self._signal(child, signal.SIGTERM)

    def _signal(self, child: _Child, number: signal.Signals) -> None:
        if child.process is not None:
            signal.pidfd_send_signal(child.pidfd, number)


def ended(status: int) -> str:
    """How a process ended, in words: "exited with status 2", "died of SIGKILL"."""
    return f"died of {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
