"""An edge under test: the roles' own templates, a real OpenSIPS, a real rtpengine, on loopback addresses."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib.util
import itertools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import jinja2
import yaml
from free_ports import free_port
from sip_phone import Line, Message, Phone, wait_until

ROOT = Path(__file__).resolve().parents[2]
ROLE, RELAY = ROOT / "roles" / "opensips", ROOT / "roles" / "rtpengine"
_MODULES = ("/usr/lib/x86_64-linux-gnu/opensips/modules/", "/usr/local/lib64/opensips/modules/")


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


command = _load(ROLE / "files" / "tellerline_edge.py")
filters = _load(ROOT / "plugins" / "filter" / "tellerline_edge.py")


def missing() -> str:
    """What this machine lacks for these tests; empty when nothing."""
    return ", ".join(name for name in ("opensips", "rtpengine") if shutil.which(name) is None)


class Addresses:
    """Addresses of 127/8 that no other test run has: a socket on a port of theirs is the reservation."""

    def __init__(self) -> None:
        for number in range(20, 250):
            self.network = f"127.9.{number}"
            self._lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self._lock.bind((f"{self.network}.1", 9))
            except OSError:
                self._lock.close()
                continue
            self.edges = itertools.cycle(range(100, 250, 2))
            return
        raise AssertionError("no free network in 127.9.20.0 to 127.9.249.0")

    def __call__(self, last: int) -> str:
        return f"{self.network}.{last}"

    def close(self) -> None:
        self._lock.close()


@dataclasses.dataclass(frozen=True)
class Host:
    """A network namespace that stands for a host."""

    name: str
    address: str

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets that this thread makes inside belong to this host."""
        with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{self.name}") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())


def _enter(namespace: int) -> None:
    # os.setns comes with Python 3.12; CLONE_NEWNET is <linux/sched.h>'s.
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


def render(role: Path, template: str, values: dict[str, Any]) -> str:
    """A template of a role, as Ansible renders it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(role / "templates"),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    return environment.get_template(template).render(ansible_managed="under test", **values)


class Edge:
    """OpenSIPS and rtpengine with a configuration of their own. Use as a context manager.

    `lanes` are (address, port) of lanes, each on the host its address names; `settings` are the role's
    variables, without their prefix. `host` runs it in a network namespace instead of on the loopback.
    """

    def __init__(
        self,
        at: Addresses,
        lanes: list[tuple[str, int]],
        host: Host | None = None,
        relay_sessions: int = 40,
        **settings: Any,
    ) -> None:
        # Not tmp_path: a unix socket's path must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="tledge-"))
        self.folder.chmod(0o755)
        self.at = at
        # Addresses of its own: tests keep an edge for a module and start others beside it.
        self.host = host
        first = next(at.edges)
        self.address = at(first) if host is None else host.address
        self.port = 5060
        self.inside = at(first + 1) if host is None else host.address
        self.trunk = at(10)
        self._relay_sessions = relay_sessions
        self._control_port, self.relay_http = free_port(), free_port()
        control = f"127.0.0.1:{self._control_port}"
        names: dict[str, int] = {}
        rows = []
        for address, port in lanes:
            number = names.setdefault(address, 0)
            names[address] += 1
            rows.append(
                {
                    "id": filters.lane_id(address, number),
                    "host": "host" + address.rsplit(".", 1)[1],
                    "address": address,
                    "port": port,
                    "name": f"0-{number}",
                }
            )
        given = {
            "modules": next(path for path in _MODULES if Path(path).is_dir()),
            "folder": str(self.folder),
            "state": str(self.folder / "state"),
            "runtime": str(self.folder / "run"),
            "operators": "",
            "trunk_address": self.address,
            "inside_address": self.inside,
            "virtual_address": "",
            "trunks": [{"name": "carrier", "addresses": [self.trunk], "calls": 20}],
            "lanes": rows,
            "lane_calls": 4,
            "transfer_targets": [],
            "rtpengine": f"udp:{control}",
            "udp_workers": 2,
            "log_to_stderr": True,
            # Several edges at once would have one port for it.
            "sip_trace_here": "",
            **settings,
        }
        self.values = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
        self.values.update({f"opensips_{key}": value for key, value in given.items()})
        self.tls = any(trunk.get("tls") for trunk in self.values["opensips_trunks"])
        self.settings = {
            "socket": f"{self.folder}/run/mi.sock",
            "inside_address": self.inside,
            "port": 5060,
            "rtpengine": f"udp:{control}",
            "folder": str(self.folder),
            "state": str(self.folder / "state"),
            "user": "root" if os.geteuid() == 0 else "nobody",
            "leave": f"{self.folder}/leave",
            "tls": self.tls,
            "certificate": self.values["opensips_certificate"],
            "key": self.values["opensips_key"],
            "authority": self.values["opensips_authority"],
        }
        self._control = control
        self.write()
        self._log = (self.folder / "log").open("wb")
        self.opensips: subprocess.Popen[bytes] | None = None
        self.rtpengine: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.folder / "opensips.cfg"

    def write(self) -> None:
        """Writes every file the role writes."""
        for name in ("tables", "tellerline", "tls", "run", "state"):
            (self.folder / name).mkdir(exist_ok=True)
        for name in ("version", "load_balancer", "address"):
            text = render(ROLE, f"etc/opensips/tables/{name}.j2", self.values)
            (self.folder / "tables" / name).write_text(text)
        for source in (ROOT / "opensips").glob("*.cfg"):
            shutil.copy(source, self.folder / "tellerline")
        (self.folder / "tls" / "version").write_text("table_name(string) table_version(int)\ntls_mgm:3\n")
        (self.folder / "edge.json").write_text(json.dumps(self.settings))
        self.config.write_text(render(ROLE, "etc/opensips/opensips.cfg.j2", self.values))

    def __enter__(self) -> Edge:
        try:
            self.start_rtpengine()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        command.prepare(self.settings)
        run = ["opensips", "-F", "-f", str(self.config), "-m", "64", "-M", "16"]
        run += ["-P", str(self.folder / "run" / "pid")]
        self.opensips = self.run(run)
        wait_until(self._answers, 10, f"OpenSIPS to start; it said\n{self.log()[-3000:]}")

    def start_rtpengine(self) -> None:
        config = self.folder / "rtpengine.conf"
        values = yaml.safe_load((RELAY / "defaults" / "main.yml").read_text())
        given = {
            "trunk_address": self.address,
            "inside_address": self.inside,
            "max_sessions": self._relay_sessions,
            "control_port": self._control_port,
            "cli_port": free_port(),
            "http_port": self.relay_http,
        }
        values.update({f"rtpengine_{key}": value for key, value in given.items()})
        config.write_text(render(RELAY, "etc/rtpengine/rtpengine.conf.j2", values))
        run = ["rtpengine", "--foreground", "--config-file", str(config)]
        self.rtpengine = self.run(run)
        wait_until(
            self._relay_answers,
            10,
            f"rtpengine to start; it said\n{self.log()[-3000:]}",
        )

    def run(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Starts a process on this edge's host; what it says goes into the log."""
        prefix = [] if self.host is None else ["ip", "netns", "exec", self.host.name]
        return subprocess.Popen([*prefix, *command], stdout=self._log, stderr=self._log)

    def _relay_answers(self) -> bool:
        with self.host.entered() if self.host else contextlib.nullcontext():
            return bool(command.rtpengine_answers(f"udp:{self._control}", 0.3))

    def stop(self) -> None:
        """Stops OpenSIPS as systemd does."""
        if self.opensips is not None:
            self.opensips.terminate()
            self.opensips.wait(20)
            self.opensips = None

    def kill(self) -> None:
        """Kills every process of OpenSIPS, as systemd does when a unit's main process has died."""
        assert self.opensips is not None
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                if line.startswith(b"opensips") and str(self.folder).encode() in line:
                    os.kill(int(pid), signal.SIGKILL)
        self.opensips.wait(5)

    def close(self) -> None:
        self.stop()
        if self.rtpengine is not None:
            self.rtpengine.terminate()
            self.rtpengine.wait(10)
        self._log.close()
        # Shown with a test that failed.
        print(self.log()[-20000:])
        shutil.rmtree(self.folder)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def ask(self, method: str, *params: object) -> Any:
        return command.ask(self.settings["socket"], method, params)

    def lanes(self) -> dict[str, dict[str, Any]]:
        """The lanes by name, as `tellerline-edge status` shows them."""
        return {lane["lane"]: lane for lane in command.lanes(self.settings["socket"])}

    def calls(self) -> int:
        found = self.ask("get_statistics", ["active_dialogs", "early_dialogs"])
        return sum(map(int, found.values()))

    def media(self) -> int:
        """Calls rtpengine has."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(2)
            host, port = self._control.split(":")
            # The same cookie again would get the same answer again.
            channel.sendto(secrets.token_hex(4).encode() + b" d7:command4:liste", (host, int(port)))
            reply = channel.recv(65536)
        # Bencoded: the list of call ids, each "length:text".
        rest, count = reply.partition(b"5:callsl")[2], 0
        while not rest.startswith(b"e"):
            length, _, rest = rest.partition(b":")
            rest, count = rest[int(length) :], count + 1
        return count

    def phone(self, called: str = "echo", host: str = "") -> Caller:
        return Caller((self.address, self.port), called, host or self.trunk)

    def _answers(self) -> bool:
        assert self.opensips is not None
        assert self.opensips.poll() is None, f"OpenSIPS ended:\n{self.log()[-4000:]}"
        if not Path(self.settings["socket"]).exists():
            return False
        try:
            self.ask("uptime")
            # Its process for TCP begins to listen a moment later.
            with self.host.entered() if self.host else contextlib.nullcontext():
                socket.create_connection((self.address, 5061 if self.tls else self.port), 1).close()
        except (command.EdgeError, ConnectionError):
            return False
        return True


class Caller(Phone):
    """A telephone of the trunk: sends what follows an answer to the answer's Contact (RFC 3261, 12.2.1.1)."""

    def transact(self, data: bytes, seconds: float = 5.0) -> Message:
        final = super().transact(data, seconds)
        contact = final.header("Contact")
        if final.status == 200 and "<" in contact:
            self.target = contact.partition("<")[2].partition(">")[0]
            host, _, port = self.target.removeprefix("sip:").rpartition("@")[2].split(";")[0].partition(":")
            self.lane = host, int(port or 5060)
        return final

    def start_line(self, remote: tuple[str, int]) -> None:
        """Starts the sound of a call whose offer was not ours."""
        self.line = Line(remote, self.media)
