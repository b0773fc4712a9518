"""The machine around the sites: what it must have, its folders, its processes and its control groups."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / "var" / "hosts"

# Processes that are to outlive whoever started them; kept, or Python warns of each that it forgets.
left_running: list[subprocess.Popen[bytes]] = []


class HostsError(Exception):
    """A site or host could not be made, with the reason."""


def why_not() -> str | None:
    """Why hosts cannot be booted on this machine, or None."""
    if os.geteuid() != 0:
        return "booting hosts needs root"
    for command in ("debootstrap", "systemd-nspawn", "ssh", "nsenter", "unshare", "setpriv", "ip"):
        if shutil.which(command) is None:
            return f"no {command} here; `scripts/machine hosts` installs it"
    if cgroups() is None:
        return "no cgroup v2 hierarchy is mounted here"
    return None


def cgroups() -> Path | None:
    # Pure v2, or the v2 part of systemd's hybrid layout.
    for path in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if (path / "cgroup.procs").exists() and (path / "cgroup.controllers").exists():
            return path
    return None


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Returns when the condition holds; raises HostsError when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise HostsError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)


def children_of(pid: int, namespace: bool = False) -> list[int]:
    """The children of a process; with namespace, every process of the PID namespace it is the first of."""
    if not namespace:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    own = os.readlink(f"/proc/{pid}/ns/pid")
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(path / "ns/pid") == own:
                found.append(int(path.name))
    return found


def tail(path: Path, lines: int = 30) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)
