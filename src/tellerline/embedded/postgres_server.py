"""PostgreSQL's cluster and command."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from tellerline.embedded.runner import hand_over, runner
from tellerline.embedded.server import STOP_SECONDS, Server
from tellerline.errors import DatastoreError

_POLL_SECONDS = 0.02


def prepared(folder: Path, binaries: Path, sockets: Path, password: Path, *, durable: bool) -> Server:
    """The server of the cluster in `folder`, which is made where there is none. Raises DatastoreError.

    `password` is the file with the superuser's. Not `durable`, it leaves writing to the kernel.
    """
    data = folder / f"postgres-{_major(binaries)}"
    by = runner()
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)
        command = (
            *by.prefix,
            str(binaries / "initdb"),
            f"--pgdata={data}",
            "--username=postgres",
            "--encoding=UTF8",
            "--no-locale",
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            *(() if durable else ("--no-sync",)),
        )
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise DatastoreError(f"initdb: {done.stderr.strip()}")
    _wait_for_predecessor(data)
    hand_over(data, by)
    command = (
        *by.prefix,
        str(binaries / "postgres"),
        f"-D{data}",
        "-clisten_addresses=",
        f"-cunix_socket_directories={sockets}",
        "-cunix_socket_permissions=0700",
        "-cmax_connections=60",
        "-cshared_buffers=32MB",
        # Its statements would hold what callers said.
        "-clog_statement=none",
        "-clog_min_error_statement=panic",
        "-clog_parameter_max_length_on_error=0",
        "-cclient_connection_check_interval=1s",
        *(() if durable else ("-cfsync=off",)),
    )
    # SIGINT: fast shutdown, that does not wait for clients (PostgreSQL manual, 18.5).
    return Server("postgres", command, folder / "postgres.log", signal.SIGINT)


def _wait_for_predecessor(data: Path) -> None:
    """Waits while a server whose owner was killed shuts down; another one is not started beside it."""
    deadline = time.monotonic() + STOP_SECONDS
    while (number := _first_line(data / "postmaster.pid")) and psutil.pid_exists(int(number)):
        # The number may be anybody's by now.
        with contextlib.suppress(psutil.Error):
            if str(data) not in " ".join(psutil.Process(int(number)).cmdline()):
                return
        if time.monotonic() > deadline:
            raise DatastoreError(f"PostgreSQL runs in {data} already (process {number}); stop it first")
        time.sleep(_POLL_SECONDS)


def _major(binaries: Path) -> str:
    version = subprocess.run(
        (str(binaries / "postgres"), "--version"),
        capture_output=True,
        text=True,
        check=True,
    )
    return version.stdout.split()[2].split(".")[0]


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except OSError:
        return ""
