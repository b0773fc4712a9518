"""The daemons of an embedded stack: a folder of sockets and settings, processes under supervision."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tellerline import settings
from tellerline.errors import StackError
from tellerline.ports import free_sip_port
from tellerline.supervisor import Supervisor, Unit, ended

_START_SECONDS = 120.0
_POLL_SECONDS = 0.1


class Daemons:
    """Runs daemons between `open` and `close`. `on_event` hears of each that ends or is started again."""

    def __init__(
        self, log_folder: Path, progress: Callable[[str], None], on_event: Callable[[str, str], None]
    ) -> None:
        self._log_folder = log_folder
        self._progress = progress
        self._on_event = on_event
        self._folder = Path()
        self._supervisor: Supervisor | None = None
        self._said_ready: set[str] = set()
        # A daemon that dies before everything was up once has a fault a restart would not mend.
        self.all_were_up = False

    def open(self) -> None:
        """Makes the folder; runs nothing yet."""
        # Not in the stack's home: a socket path holds at most 107 bytes, and a checkout may lie deep.
        self._folder = Path(tempfile.mkdtemp(prefix="tellerline-"))
        self._supervisor = Supervisor(self._on_event)

    @property
    def is_open(self) -> bool:
        """Between `open` and `close`."""
        return self._supervisor is not None

    @property
    def supervisor(self) -> Supervisor:
        """Units are named engine@cpu, pipeline@cpu-0, connector@cpu-0. Raises StackError."""
        if self._supervisor is None:
            raise StackError("the stack is not running; enter its context first")
        return self._supervisor

    def close(self) -> None:
        """Stops what still runs; `remove_folder` afterwards."""
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None

    def remove_folder(self) -> None:
        """Removes sockets and settings."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def pid(self, unit: str) -> int | None:
        """The unit's process id, None while it is not running."""
        return self.supervisor.pid(unit)

    def socket(self, daemon: str, instance: str) -> Path:
        """Where a daemon's unix socket goes."""
        return self._folder / f"{daemon}@{instance}.sock"

    def run_daemon(
        self, daemon: str, instance: str, chosen: settings.Concern, stop_seconds: float = 10.0
    ) -> None:
        """Writes the daemon's settings file and runs it."""
        config = self._folder / f"{daemon}@{instance}.yml"
        config.write_text(settings.dump(chosen), encoding="utf-8")
        command = ("tellerline", daemon, "--config", str(config))
        self.run_unit(f"{daemon}@{instance}", command, stop_seconds)

    def run_unit(self, name: str, module: tuple[str, ...], stop_seconds: float = 10.0) -> None:
        """Runs a Python module under supervision, its output in the log folder."""
        log_file = self._log_folder / f"{name}.log"
        self.supervisor.start(Unit(name, (sys.executable, "-m", *module), log_file, stop_seconds))

    def wait(self, unit: str, healthy: Callable[[Path], bool], socket_path: Path) -> None:
        """Waits until `healthy(socket_path)`. Raises StackError when the unit ends or takes two minutes."""
        started = time.monotonic()
        exits = self.supervisor.exits(unit) if self.all_were_up else 0
        said = 0
        while not healthy(socket_path):
            waited = time.monotonic() - started
            if self.supervisor.exits(unit) > exits:
                status = ended(self.supervisor.last_status(unit) or 0)
                raise StackError(f"{unit} {status} while starting:\n{self._log_end(unit)}")
            if waited > _START_SECONDS:
                raise StackError(f"{unit} was not ready after {waited:.0f} s:\n{self._log_end(unit)}")
            if waited > said + 2:
                said = int(waited)
                self._progress(f"waiting for {unit}, {said} s")
            time.sleep(_POLL_SECONDS)
        if said or unit not in self._said_ready:
            self._said_ready.add(unit)
            self._progress(f"{unit} ready after {time.monotonic() - started:.1f} s")

    def free_port(self, first: int) -> int:
        """The first port from `first` on that is free for UDP and TCP on loopback."""
        return free_sip_port("127.0.0.1", first)

    def _log_end(self, unit: str) -> str:
        path = self._log_folder / f"{unit}.log"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        return "\n".join((*(f"    {line}" for line in lines), f"  (from {path})"))
