"""One booted machine: its files, its power and its link."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from machines import debian
from machines.network import BRIDGE, CONTROL, NETWORK
from machines.outside import HostsError, cgroups, children_of, tail, wait_for

if TYPE_CHECKING:
    from machines.sites import Site

# Booting takes 2 to 5 s on two cores; a machine under load takes its time.
_BOOT_SECONDS = 120
_STOP_SECONDS = 90


@dataclass(frozen=True)
class Host:
    """One booted machine of a site."""

    site: Site
    name: str

    @property
    def folder(self) -> Path:
        return self.site.folder / "hosts" / self.name

    @property
    def address(self) -> str:
        return (self.folder / "address").read_text().strip()

    @property
    def files(self) -> Path:
        """The host's file system as it is seen from outside while it runs."""
        return Path(f"/proc/{self.site.keeper}/root{self.folder}/root")

    def ssh(
        self, *command: str, check: bool = True, input: str | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command on the host as root; raises HostsError with what it printed when it fails."""
        line = shlex.join(command) if len(command) > 1 else "".join(command)
        return self.site.run(
            "ssh", "-F", str(self.site.ssh_config), self.name, line, check=check, input=input, timeout=timeout
        )

    def made(self) -> bool:
        return (self.folder / "address").exists()

    def make(self, address: str) -> None:
        """Writes the host's own files, which lie above the image's."""
        if not self.name.isalnum() or len(self.name) > 12:
            # "vb-" and the name are the bridge port's name, of 15 characters at most.
            raise HostsError(f"{self.name!r}: a host's name is at most 12 letters and digits")
        base = debian.image()
        shutil.rmtree(self.folder, ignore_errors=True)
        upper = self.folder / "upper"
        for path in ("upper", "work", "root"):
            (self.folder / path).mkdir(parents=True)
        for path in ("etc/ssh", "etc/systemd/network", "root/.ssh"):
            _like(base, upper, path)
        (upper / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (upper / "etc/hostname").write_text(f"{self.name}\n")
        # One of RFC 5737's addresses, which are nobody's: what asks for a name shows.
        (upper / "etc/resolv.conf").write_text("nameserver 192.0.2.53\noptions timeout:1 attempts:1\n")
        (upper / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        (upper / "etc/systemd/network/10-site.network").write_text(
            f"[Match]\nName=host0\n[Network]\nAddress={address}/{NETWORK.prefixlen}\nGateway={CONTROL}\n"
            "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        )
        keys = upper / "root/.ssh/authorized_keys"
        keys.write_text(self.site.public_key)
        keys.chmod(0o600)
        keys.parent.chmod(0o700)
        host_key = str(upper / "etc/ssh/ssh_host_ed25519_key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", host_key], check=True)
        # Last: a host without it was not finished.
        (self.folder / "address").write_text(address)

    def running(self) -> bool:
        return self._pid() is not None

    def start(self) -> None:
        """Boots the host and returns when it takes ssh."""
        if not self.running():
            self.boot()
        self.wait()

    def wait(self) -> None:
        """Returns when the host has finished booting and takes ssh."""

        def up() -> bool:
            if not self.running():
                raise HostsError(f"{self.name} did not boot:\n{tail(self.folder / 'console.log')}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                # "degraded" is up as well; a unit that failed is for the tests to find.
                state = self.ssh("systemctl is-system-running || true", check=False, timeout=10)
                return state.stdout.strip() in ("running", "degraded")
            return False

        wait_for(up, f"{self.name} to boot", _BOOT_SECONDS)

    def kill(self) -> None:
        """Cuts the power: every process of the host ends at once. (What was written stays written.)"""
        if self.running():
            (self._cgroup() / "cgroup.kill").write_text("1")
            wait_for(lambda: not self._populated(), f"{self.name} to be gone", _STOP_SECONDS)

    def power_off(self) -> None:
        """Shuts the host down in order."""
        pid = self._pid()
        if pid is not None:
            # nspawn passes it on as a request to power off.
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not self._populated(), f"{self.name} to power off", _STOP_SECONDS)

    def reboot(self) -> None:
        """Reboots in order, and returns when the host takes ssh again."""
        before = self.boot_id()
        self.ssh("systemctl reboot", check=False)

        def again() -> bool:
            with contextlib.suppress(HostsError, subprocess.TimeoutExpired):
                return self.boot_id() != before
            return False

        wait_for(again, f"{self.name} to reboot", _BOOT_SECONDS)
        self.wait()

    def boot_id(self) -> str:
        """Another after each boot. The kernel's own boot_id is the outer machine's: nothing reboots that."""
        return self.ssh("systemctl show -P UserspaceTimestampMonotonic", timeout=10).stdout.strip()

    def link(self, state: str) -> None:
        """With "down" nothing reaches the host or leaves it any more, and nobody is told; "up" mends that."""
        self.site.run("ip", "link", "set", f"vb-{self.name}", state)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def boot(self) -> None:
        given = (str(self.folder), str(debian.image()), self.name, str(self._cgroup()), BRIDGE)
        self.site.start("bash", "-c", _BOOT, "boot", *given, output=self.folder / "console.log")
        wait_for(self.running, f"{self.name} to start", _BOOT_SECONDS)

    def _cgroup(self) -> Path:
        top = cgroups()
        assert top is not None
        return top / f"tellerline-hosts-{self.site.id}-{self.name}"

    def _populated(self) -> bool:
        return "populated 1" in (self._cgroup() / "cgroup.events").read_text()

    def _pid(self) -> int | None:
        """The machine's systemd-nspawn, as seen from outside."""
        if not self.site.up():
            return None
        # The first of them: it forks on its way.
        for process in sorted(children_of(self.site.keeper, namespace=True)):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
                if b"systemd-nspawn" in line[0] and f"--machine={self.name}".encode() in line:
                    return process
        return None


# In the site's namespaces. cgroup v2 without controllers is enough for systemd to keep its processes apart;
# each machine needs a group of its own, as the outer machine may have no systemd that would make one.
_BOOT = """
set -euo pipefail
folder=$1 image=$2 name=$3 cgroup=$4 bridge=$5
mkdir -p "$cgroup"
echo 0 > "$cgroup/cgroup.procs"
if ! mountpoint -q "$folder/root"; then
    mount -t overlay overlay -o "lowerdir=$image,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
fi
# What nspawn keeps of its machines is the site's too.
mkdir -p /run/systemd/nspawn
mountpoint -q /run/systemd/nspawn || mount -t tmpfs tmpfs /run/systemd/nspawn
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_TMPFS_TMP=0
# 133: the machine asks for a reboot.
status=133
while ((status == 133)); do
    find "$cgroup" -mindepth 1 -depth -type d -delete
    # The port of a machine that was killed is removed with its namespace, some time later.
    ip link delete "vb-$name" 2>/dev/null || true
    status=0
    systemd-nspawn --quiet --boot --directory="$folder/root" --machine="$name" --register=no --keep-unit \
        --link-journal=no --resolv-conf=off --timezone=off --network-bridge="$bridge" --console=read-only \
        || status=$?
done
"""


def _like(base: Path, upper: Path, path: str) -> None:
    """The folder in the upper tree, with the modes that its parents have in the base."""
    below = Path()
    for part in Path(path).parts:
        below /= part
        (upper / below).mkdir(exist_ok=True)
        if (base / below).exists():
            shutil.copymode(base / below, upper / below)
