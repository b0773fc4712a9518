"""A site: namespaces, the bridge in them, the hosts on it, and how the control side reaches them."""

from __future__ import annotations

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
from collections.abc import Mapping
from pathlib import Path

from machines import keeper
from machines.capture import Capture
from machines.host import Host
from machines.network import BRIDGE, CONTROL, NETWORK
from machines.outside import HOME, HostsError, cgroups, children_of, left_running, tail, wait_for, why_not

_FIRST_HOST = 11
# The command after it is the first of a PID namespace of its own, which ends with it and with `unshare`.
_FIRST_PROCESS = ("--pid", "--fork", "--kill-child", "--mount-proc")
_STOP_SECONDS = 90


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
    def public_key(self) -> str:
        """What opens root's account on every host, as authorized_keys has it."""
        return (self.folder / "key.pub").read_text()

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
        unshare = [*("unshare", "--net", "--mount", "--propagation", "private"), *_FIRST_PROCESS]
        with (self.folder / "keeper.log").open("w") as log:
            started = subprocess.Popen(
                [*bind, *unshare, sys.executable, keeper.__file__, str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        left_running.append(started)

        def kept() -> bool:
            if started.poll() is not None:
                raise HostsError(f"the site did not start:\n{tail(self.folder / 'keeper.log')}")
            return (self.folder / "ready").exists()

        wait_for(kept, f"the site {self.name} to start", 30)
        (self.folder / "ready").unlink()
        # Its number in the PID namespace it is the first of is 1; here it is what its parent has for a child.
        (child,) = children_of(started.pid)
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
            if not host.made():
                host.make(self._free_address())
        self._write_access()
        for host in made:
            if not host.running():
                host.boot()
        for host in made:
            host.wait()
        return made

    def drop(self, *names: str) -> None:
        """Removes hosts and everything of them; the others stay."""
        for name in names:
            self.host(name).remove()
        self._write_access()

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
        left_running.append(started)

    def capture(self) -> Capture:
        """Records every packet on the bridge from now on."""
        return Capture(self, self.folder / "capture.pcap")

    def _free_address(self) -> str:
        taken = {host.address for host in self.hosts()}
        return next(str(free) for free in list(NETWORK)[_FIRST_HOST:] if str(free) not in taken)

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
        hierarchy = cgroups()
        if hierarchy is None:
            return
        for top in hierarchy.glob(f"tellerline-hosts-{self.id}-*"):
            # The last of its processes may still be on their way out.
            events = top / "cgroup.events"
            wait_for(lambda at=events: "populated 0" in at.read_text(), "the hosts to end", _STOP_SECONDS)
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
