#!/usr/bin/env python3
"""Booted Debian 12 hosts on a bridge of their own with no route out, made and removed by one module.

A *site* is one process, its keeper: the first process of a PID namespace that also owns the site's network
and mount namespaces. Bridge, machines, their mounts and whatever runs in them live in those namespaces and in
no other, so when the keeper ends, however it ends, the kernel removes all of it. What stays is a folder below
var/hosts/sites, and `down` removes that too. There is no route out because there is nothing to route to: the
bridge is the only link of the site's network. Hosts have a gateway and a name server all the same, so that
whatever tries to leave is seen on the bridge (`capture`), where the gateway refuses it.

The control side (ansible-playbook, the robot, a capture) is any process in the site's network: `run` starts
it there, with the bridge's own address. Debian's packages are fetched once, on the outside, into an image
that every host has below its own files (overlayfs).

Needs root, and Debian's debootstrap, systemd-container and openssh-client (`scripts/machine hosts`).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "var" / "hosts"

NETWORK = ipaddress.IPv4Network("10.77.0.0/24")
BRIDGE = "site"
CONTROL = NETWORK[1]
_FIRST_HOST = 11

SUITE = "bookworm"
# What Debian's installer leaves of a server when only "SSH server" is chosen, and Ansible's Python.
PACKAGES = ("systemd-sysv", "dbus", "openssh-server", "python3", "sudo", "iproute2", "udev")

# Booting takes 2 to 5 s on two cores; a machine under load takes its time.
_BOOT_SECONDS = 120
_STOP_SECONDS = 90

# Processes that are to outlive whoever started them; kept, or Python warns of each that it forgets.
_left_running: list[subprocess.Popen[bytes]] = []


class HostsError(Exception):
    """A site or host could not be made, with the reason."""


def why_not() -> str | None:
    """Why hosts cannot be booted on this machine, or None."""
    if os.geteuid() != 0:
        return "booting hosts needs root"
    for command in ("debootstrap", "systemd-nspawn", "ssh", "nsenter", "unshare", "setpriv", "ip"):
        if shutil.which(command) is None:
            return f"no {command} here; `scripts/machine hosts` installs it"
    if _cgroups() is None:
        return "no cgroup v2 hierarchy is mounted here"
    return None


def _cgroups() -> Path | None:
    # Pure v2, or the v2 part of systemd's hybrid layout.
    for path in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if (path / "cgroup.procs").exists() and (path / "cgroup.controllers").exists():
            return path
    return None


# ---- the image every host starts from


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
        raise HostsError(f"debootstrap failed; the end of {log}:\n{_tail(log)}")
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


# ---- a site


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

    def running(self) -> bool:
        return self._pid() is not None

    def start(self) -> None:
        """Boots the host and returns when it takes ssh."""
        if not self.running():
            self._boot()
        self.wait()

    def wait(self) -> None:
        """Returns when the host has finished booting and takes ssh."""

        def up() -> bool:
            if not self.running():
                raise HostsError(f"{self.name} did not boot:\n{_tail(self.folder / 'console.log')}")
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

    def _boot(self) -> None:
        given = (str(self.folder), str(image()), self.name, str(self._cgroup()), BRIDGE)
        self.site.start("bash", "-c", _BOOT, "boot", *given, output=self.folder / "console.log")
        wait_for(self.running, f"{self.name} to start", _BOOT_SECONDS)

    def _cgroup(self) -> Path:
        cgroups = _cgroups()
        assert cgroups is not None
        return cgroups / f"tellerline-hosts-{self.site.id}-{self.name}"

    def _populated(self) -> bool:
        return "populated 1" in (self._cgroup() / "cgroup.events").read_text()

    def _pid(self) -> int | None:
        """The machine's systemd-nspawn, as seen from outside."""
        if not self.site.up():
            return None
        # The first of them: it forks on its way.
        for process in sorted(_children_of(self.site.keeper, namespace=True)):
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


class Site:
    """Hosts on one bridge, and the control side beside them."""

    def __init__(self, name: str) -> None:
        if not name.isalnum():
            raise HostsError(f"{name!r}: a site's name is letters and digits")
        self.name = name
        self.folder = HOME / "sites" / name
        # On this machine: another checkout may have a site of the same name.
        self.id = f"{name}-{hashlib.sha256(bytes(self.folder)).hexdigest()[:6]}"

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def inventory(self) -> Path:
        """The hosts' addresses and how to reach them: given to Ansible beside an inventory with groups."""
        return self.folder / "hosts.yml"

    @property
    def keeper(self) -> int:
        """The keeper's process id on this machine."""
        try:
            return int((self.folder / "keeper.pid").read_text())
        except (OSError, ValueError):
            raise HostsError(f"the site {self.name} is down") from None

    def up(self) -> bool:
        """Whether the keeper lives: it holds a lock as long as it does."""
        try:
            with (self.folder / "keeper.lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return (self.folder / "keeper.pid").exists()
        return False

    def open(self, bound: bool = False) -> None:
        """Makes the site's namespaces and bridge. bound: they end with the calling process."""
        refusal = why_not()
        if refusal:
            raise HostsError(refusal)
        if self.up():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "keeper.pid").unlink(missing_ok=True)
        if not (self.folder / "key").exists():
            key = str(self.folder / "key")
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        bind = ["setpriv", "--pdeathsig", "KILL"] if bound else []
        unshare = [
            "unshare",
            "--net",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
        ]
        with (self.folder / "keeper.log").open("w") as log:
            started = subprocess.Popen(
                [*bind, *unshare, "--mount-proc", sys.executable, __file__, "keep", self.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        _left_running.append(started)

        def kept() -> bool:
            if started.poll() is not None:
                raise HostsError(f"the site did not start:\n{_tail(self.folder / 'keeper.log')}")
            return (self.folder / "ready").exists()

        wait_for(kept, f"the site {self.name} to start", 30)
        (self.folder / "ready").unlink()
        # Its number in the PID namespace it is the first of is 1; here it is what its parent has for a child.
        (child,) = _children_of(started.pid)
        (self.folder / "keeper.pid").write_text(str(child))
        # A host's way out leads here and ends here: refused at once, and seen by a capture.
        self.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv4.ip_forward=1")
        for line in (
            "route add unreachable default",
            f"link add {BRIDGE} type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            f"address add {CONTROL}/{NETWORK.prefixlen} dev {BRIDGE}",
            "link set lo up",
            f"link set {BRIDGE} up",
        ):
            self.run("ip", *line.split())

    def close(self) -> None:
        """Ends every host and the site; their files stay."""
        if self.up():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.keeper, signal.SIGKILL)
            wait_for(lambda: not self.up(), f"the site {self.name} to end", _STOP_SECONDS)
        (self.folder / "keeper.pid").unlink(missing_ok=True)
        self._remove_cgroups()

    def remove(self) -> None:
        """Ends the site and removes everything of it."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def host(self, name: str) -> Host:
        """A host of the site, whether it runs or not."""
        return Host(self, name)

    def hosts(self) -> list[Host]:
        """Those made so far, in the order of their addresses."""
        found = [Host(self, path.parent.name) for path in (self.folder / "hosts").glob("*/address")]
        return sorted(found, key=lambda host: ipaddress.IPv4Address(host.address))

    def add(self, *names: str) -> list[Host]:
        """Hosts of these names, made and booted where they are not, taking ssh at the return."""
        made = [self.host(name) for name in names]
        for host in made:
            if not (host.folder / "address").exists():
                self._make(host)
        self._write_access()
        for host in made:
            if not host.running():
                host._boot()
        for host in made:
            host.wait()
        return made

    def run(
        self,
        *command: str,
        check: bool = True,
        input: str | None = None,
        timeout: float | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command on the control side; raises HostsError with what it printed when it fails."""
        done = subprocess.run(
            self.command(*command),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(environment or {})},
        )
        if check and done.returncode:
            raise HostsError(
                f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def command(self, *command: str) -> list[str]:
        """What starts a command on the control side."""
        # Ansible keeps connections by address, and every site has the same: two at once would take each
        # other's hosts for their own. A socket's path is short, so not in the site's folder.
        apart = f"ANSIBLE_SSH_CONTROL_PATH_DIR=/tmp/ansible-{self.id}"
        return ["nsenter", f"--net=/proc/{self.keeper}/ns/net", "--", "env", apart, *command]

    def start(self, *command: str, output: Path) -> None:
        """Starts a command in all of the site's namespaces, and leaves it to itself."""
        with output.open("a") as log:
            started = subprocess.Popen(
                ["nsenter", f"--target={self.keeper}", "--net", "--mount", "--pid", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _left_running.append(started)

    def capture(self) -> Capture:
        """Records every packet on the bridge from now on."""
        return Capture(self, self.folder / "capture.pcap")

    def _make(self, host: Host) -> None:
        if not host.name.isalnum() or len(host.name) > 12:
            # "vb-" and the name are the bridge port's name, of 15 characters at most.
            raise HostsError(f"{host.name!r}: a host's name is at most 12 letters and digits")
        taken = {other.address for other in self.hosts()}
        address = next(str(free) for free in list(NETWORK)[_FIRST_HOST:] if str(free) not in taken)
        base = image()
        shutil.rmtree(host.folder, ignore_errors=True)
        upper = host.folder / "upper"
        for path in ("upper", "work", "root"):
            (host.folder / path).mkdir(parents=True)
        for path in ("etc/ssh", "etc/systemd/network", "root/.ssh"):
            _like(base, upper, path)
        (upper / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (upper / "etc/hostname").write_text(f"{host.name}\n")
        # One of RFC 5737's addresses, which are nobody's: what asks for a name shows.
        (upper / "etc/resolv.conf").write_text("nameserver 192.0.2.53\noptions timeout:1 attempts:1\n")
        (upper / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n")
        (upper / "etc/systemd/network/10-site.network").write_text(
            f"[Match]\nName=host0\n[Network]\nAddress={address}/{NETWORK.prefixlen}\nGateway={CONTROL}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        )
        keys = upper / "root/.ssh/authorized_keys"
        keys.write_text((self.folder / "key.pub").read_text())
        keys.chmod(0o600)
        keys.parent.chmod(0o700)
        host_key = str(upper / "etc/ssh/ssh_host_ed25519_key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", host_key], check=True)
        # Last: a host without it was not finished.
        (host.folder / "address").write_text(address)

    def _write_access(self) -> None:
        lines, known, entries = [], [], {}
        known_hosts = self.folder / "known_hosts"
        for host in self.hosts():
            public = (host.folder / "upper/etc/ssh/ssh_host_ed25519_key.pub").read_text()
            known.append(f"{host.name},{host.address} {public}")
            lines.append(f"Host {host.name}\n    HostName {host.address}\n    HostKeyAlias {host.name}\n")
            entries[host.name] = {
                "ansible_host": host.address,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(self.folder / "key"),
                "ansible_ssh_common_args": f"-o UserKnownHostsFile={known_hosts}",
                # Sites have the same addresses: a connection that is kept must not be taken for another's.
                "ansible_control_path_dir": str(self.folder / "cp"),
            }
        common = (
            f"Host *\n    User root\n    IdentityFile {self.folder / 'key'}\n    IdentitiesOnly yes\n"
            f"    UserKnownHostsFile {known_hosts}\n    StrictHostKeyChecking yes\n"
            "    ConnectTimeout 5\n    ServerAliveInterval 5\n    ServerAliveCountMax 3\n    LogLevel ERROR\n"
        )
        known_hosts.write_text("".join(known))
        self.ssh_config.write_text("".join(lines) + common)
        # JSON is YAML.
        self.inventory.with_suffix(".tmp").write_text(
            json.dumps({"all": {"hosts": entries}}, indent=2) + "\n"
        )
        self.inventory.with_suffix(".tmp").rename(self.inventory)

    def _remove_cgroups(self) -> None:
        cgroups = _cgroups()
        if cgroups is None:
            return
        for top in cgroups.glob(f"tellerline-hosts-{self.id}-*"):
            # The last of its processes may still be on their way out.
            events = top / "cgroup.events"
            wait_for(lambda at=events: "populated 0" in at.read_text(), "the hosts to end", _STOP_SECONDS)
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


class Capture:
    """Every packet on a site's bridge, by tcpdump."""

    def __init__(self, site: Site, file: Path) -> None:
        self._site, self._file = site, file
        log = file.with_suffix(".log")
        with log.open("w") as output:
            # 256 bytes a packet: headers, and enough to see a plain name or digit by.
            self._tcpdump = subprocess.Popen(
                site.command("tcpdump", "-i", BRIDGE, "-n", "-U", "-s", "256", "-w", str(file)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_for(lambda: "listening on" in log.read_text(), "tcpdump to listen", 30)

    def stop(self) -> None:
        self._tcpdump.send_signal(signal.SIGINT)
        self._tcpdump.wait()

    def packets(self, expression: str = "") -> list[str]:
        """What tcpdump prints of those that the expression (pcap-filter(7)) matches."""
        done = self._site.run("tcpdump", "-nn", "-r", str(self._file), *([expression] if expression else []))
        return done.stdout.splitlines()

    def strays(self) -> list[str]:
        """Packets that were not between the site's own addresses, nor for the link only (VRRP, IGMP)."""
        inside = f"(src net {NETWORK} and (dst net {NETWORK} or dst net 224.0.0.0/24))"
        return self.packets(f"not arp and not {inside}")


def keep(site: Site) -> None:
    """The keeper's work: to hold the lock, and to bury processes whose parents ended."""
    lock = (site.folder / "keeper.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    (site.folder / "ready").touch()
    while True:
        signal.sigwait({signal.SIGCHLD})
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


# ---- small things


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Returns when the condition holds; raises HostsError when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise HostsError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _like(base: Path, upper: Path, path: str) -> None:
    """The folder in the upper tree, with the modes that its parents have in the base."""
    below = Path()
    for part in Path(path).parts:
        below /= part
        (upper / below).mkdir(exist_ok=True)
        if (base / below).exists():
            shutil.copymode(base / below, upper / below)


def _children_of(pid: int, namespace: bool = False) -> list[int]:
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


def _tail(path: Path, lines: int = 30) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)


# ---- for developers


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("up", "makes hosts, or boots those that are there"),
        ("run", "runs a command on the control side; $SITE_HOSTS is an inventory file of the hosts"),
        ("ssh", "runs a command on a host, or gives a shell there"),
        ("down", "removes the site, or only the hosts named"),
        ("list", "says which sites there are"),
        ("keep", "(the keeper of a site; started by `up`)"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        if name != "list":
            command.add_argument("site")
        if name == "ssh":
            command.add_argument("host")
        if name not in ("list", "keep"):
            command.add_argument("words", nargs=argparse.REMAINDER, metavar="...")
    given = parser.parse_args(arguments)
    try:
        return _command(given)
    except HostsError as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 1


def _command(given: argparse.Namespace) -> int:
    if given.command == "list":
        for folder in sorted((HOME / "sites").glob("*")):
            site = Site(folder.name)
            print(site.name, "up" if site.up() else "down", *(f"{h.name}={h.address}" for h in site.hosts()))
        return 0
    site = Site(given.site)
    if given.command == "keep":
        keep(site)
    elif given.command == "up":
        site.open()
        for host in site.add(*(given.words or [host.name for host in site.hosts()])):
            print(f"{host.name} {host.address}")
    elif given.command == "run":
        environment = {**os.environ, "SITE_HOSTS": str(site.inventory)}
        return subprocess.run(site.command(*given.words), env=environment).returncode
    elif given.command == "ssh":
        return subprocess.run(
            site.command("ssh", "-F", str(site.ssh_config), given.host, *given.words)
        ).returncode
    elif given.words:
        for name in given.words:
            site.host(name).remove()
        site._write_access()
    else:
        site.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
