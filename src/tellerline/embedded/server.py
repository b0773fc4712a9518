"""One server process: started, looked after, ended, killed and hung."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path

import psutil

from tellerline.errors import DatastoreError

STOP_SECONDS = 20.0


class Server:
    """One server process: its command, its folder, its log."""

    def __init__(self, name: str, command: tuple[str, ...], log: Path, stop: signal.Signals) -> None:
        self.name = name
        self.command = command
        self.log = log
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None while it is not running under this object."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Starts the process; it dies with the thread that called. Raises DatastoreError."""
        try:
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as error:
            raise DatastoreError(f"{self.name}: {error.strerror} ({self.command[0]})") from error

    def check(self) -> None:
        """Raises DatastoreError with the end of its log when the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
            raise DatastoreError("\n".join((f"{self.name} ended while starting:", *lines)))

    def stop(self, at_once: signal.Signals | None = None) -> None:
        """Ends the process in order, or by the signal `at_once`, and by SIGKILL after 20 s."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(at_once or self._stop)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """SIGKILL, as a power cut would. PostgreSQL's children notice and end by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def hang(self) -> None:
        """Stops the process and its children without ending them, until `go_on`."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of `hang`."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        for process in (server, *server.children(recursive=True)):
            process.send_signal(number)
