"""The minimal Debian 12 that every host starts from."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from machines.outside import HOME, HostsError, tail

SUITE = "bookworm"
# What Debian's installer leaves of a server when only "SSH server" is chosen, and Ansible's Python.
PACKAGES = ("systemd-sysv", "dbus", "openssh-server", "python3", "sudo", "iproute2", "udev")


def image() -> Path:
    """The folder of the minimal Debian 12, made first where it is not here yet (a minute)."""
    recipe = hashlib.sha256(repr((SUITE, PACKAGES)).encode()).hexdigest()[:12]
    made = HOME / f"debian-{recipe}"
    HOME.mkdir(parents=True, exist_ok=True)
    with _locked(HOME / "image.lock"):
        if not made.exists():
            building = HOME / "debian.building"
            shutil.rmtree(building, ignore_errors=True)
            _debootstrap(building)
            building.rename(made)
    return made


def _debootstrap(folder: Path) -> None:
    log = HOME / "debootstrap.log"
    include = ",".join(PACKAGES)
    with log.open("w") as output:
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={include}", SUITE, str(folder)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise HostsError(f"debootstrap failed; the end of {log}:\n{tail(log)}")
    for path in folder.glob("var/cache/apt/archives/*.deb"):
        path.unlink()
    # A bank's server reaches no mirror: whatever is installed comes from the bundle.
    (folder / "etc/apt/sources.list").unlink(missing_ok=True)
    shutil.rmtree(folder / "var/lib/apt/lists")
    (folder / "var/lib/apt/lists").mkdir()
    # Each host has its own.
    (folder / "etc/machine-id").unlink(missing_ok=True)
    for path in folder.glob("etc/ssh/ssh_host_*"):
        path.unlink()
    (folder / "etc/resolv.conf").unlink(missing_ok=True)
    wants = folder / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "systemd-networkd.service").symlink_to("/lib/systemd/system/systemd-networkd.service")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
