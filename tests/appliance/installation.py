"""An appliance on booted hosts: its inventory, runs of ansible-playbook, and robot calls into it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from hosts import CONTROL, ROOT, Host, HostsError, Site

# The robot dials from the control side, and people are reached there: to the site it is the carrier.
TRUNK = str(CONTROL)
COLLEAGUE_PORT = 5090
COLLEAGUE = f"sip:colleague@{TRUNK}:{COLLEAGUE_PORT}"
_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
_CHANGED = re.compile(r"^TASK \[(.*)\].*?(?=^TASK|^PLAY|^RUNNING|\Z)", re.MULTILINE | re.DOTALL)


def kill(running: subprocess.Popen[str]) -> None:
    """Ends a playbook with everything it started, as when the control node loses its power."""
    # Its workers are sessions of their own.
    children = psutil.Process(running.pid).children(recursive=True)
    for process in (running, *children):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(children, timeout=10)
    assert running.stdout is not None
    running.stdout.close()
    running.wait()


def ansible_playbook() -> str | None:
    """The command, of this project's own set-up (`make ansible`) or of the machine."""
    own = ROOT / ".venv-ansible" / "bin" / "ansible-playbook"
    given = os.environ.get("ANSIBLE_PLAYBOOK")
    return given or (str(own) if own.exists() else shutil.which("ansible-playbook"))


def bundle() -> Path | None:
    """The bundle to install from: $TELLERLINE_BUNDLE, or the one `make bundle` left."""
    given = os.environ.get("TELLERLINE_BUNDLE")
    found = [Path(given)] if given else sorted((ROOT / "var" / "bundle").glob("tellerline-*"))
    whole = [path for path in found if (path / "MANIFEST.sha256").exists()]
    return whole[-1] if whole else None


@dataclass(frozen=True)
class Run:
    """One finished run of a playbook."""

    status: int
    output: str
    seconds: float

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Host → ok, changed, unreachable, failed."""
        names = ("ok", "changed", "unreachable", "failed")
        return {
            host: dict(zip(names, map(int, counts), strict=True))
            for host, *counts in _RECAP.findall(self.output)
        }

    @property
    def changed(self) -> int:
        return sum(counts["changed"] for counts in self.recap.values())

    @property
    def changes(self) -> list[str]:
        """The tasks that changed something: what to look at when none should have."""
        return [
            found[1] for found in _CHANGED.finditer(self.output) if re.search(r"^changed: ", found[0], re.M)
        ]


@dataclass(frozen=True)
class Call:
    """One caller's call when it was over. Times are CLOCK_MONOTONIC nanoseconds."""

    status: int
    invited_ns: int
    answered_ns: int
    ended_ns: int
    # "caller" (as planned), "bot", "robot" (time limit), "" (never answered).
    ended_by: str
    sip_call_id: str
    packets: int
    last_packet_ns: int
    lost: int
    # Where no packet came for longer than 60 ms: since when, and how many milliseconds.
    gaps: list[tuple[int, float]]

    @property
    def longest_gap_ms(self) -> float:
        return max((ms for _, ms in self.gaps), default=0.0)


class Callers:
    """Calls in progress."""

    def __init__(self, appliance: Appliance, command: list[str], calls: int) -> None:
        self._appliance = appliance
        self._running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._over: dict[int, Call] = {}
        settled: set[int] = set()
        while len(settled) < calls:
            event = self._next()
            if event is None:
                raise HostsError(f"the callers ended early: {self._errors()}")
            if event["event"] in ("answered", "ended", "over"):
                settled.add(event["call"])

    def finish(self) -> list[Call]:
        """Waits until the callers have hung up."""
        while self._next() is not None:
            pass
        status, errors = self._running.wait(), self._errors()
        assert self._running.stdout is not None and self._running.stderr is not None
        self._running.stdout.close()
        self._running.stderr.close()
        if status:
            raise HostsError(f"the callers failed: {errors}")
        return [self._over[number] for number in sorted(self._over)]

    def _next(self) -> dict[str, Any] | None:
        assert self._running.stdout is not None
        line = self._running.stdout.readline()
        if not line:
            return None
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "over":
            told = {name: event[name] for name in Call.__dataclass_fields__}
            self._over[event["call"]] = Call(**told)
            self._appliance.count_answered(told["answered_ns"] > 0)
        return event

    def _errors(self) -> str:
        assert self._running.stderr is not None
        return self._running.stderr.read()[-4000:]


class Appliance:
    """A site's hosts with the inventory of one of the examples, made to fit them."""

    def __init__(self, site: Site, example: str, variables: Mapping[str, Any] | None = None) -> None:
        self.site = site
        self.folder = site.folder / "inventory"
        self.log = site.folder / "ansible.log"
        self._vault = self.folder / "group_vars" / "all" / "vault.yml"
        # "z": read after the example's own files.
        self._variables = self.folder / "group_vars" / "all" / "z_tests.yml"
        self._password = site.folder / "vault-password"
        self._counted = site.folder / "calls-answered"
        self._counting = threading.Lock()
        if not self.folder.exists():
            shutil.copytree(ROOT / "inventory" / example, self.folder)
            if not self.edge:
                self._without_edge()
            self._write_variables(variables or {})

    def host(self, name: str) -> Host:
        return self.site.host(name)

    @property
    def edge(self) -> bool:
        """Whether calls come through OpenSIPS. A bundle may be without it; then they go straight to lanes."""
        made = bundle()
        return made is not None and any(made.glob("debs/opensips_*"))

    @property
    def lanes(self) -> int:
        """Of each host with lanes."""
        count: int = yaml.safe_load(self._variables.read_text())["tellerline_lanes"]
        return count

    @property
    def calls_answered(self) -> int:
        """Calls answered so far, each of which must leave one record. Kept with the site's files."""
        return int(self._counted.read_text()) if self._counted.exists() else 0

    def count_answered(self, calls: int) -> None:
        with self._counting:
            self._counted.write_text(str(self.calls_answered + calls))

    @property
    def secrets(self) -> dict[str, str]:
        """Every secret of the site, by its name in the vault."""
        command = ansible_playbook()
        assert command is not None
        view = (str(Path(command).with_name("ansible-vault")), "view", "--vault-password-file")
        shown = subprocess.run(
            [*view, str(self._password), str(self._vault)], capture_output=True, text=True, check=True
        )
        found: dict[str, str] = yaml.safe_load(shown.stdout)
        return found

    def number(self, edge: str) -> str:
        """What callers dial: OpenSIPS on an edge host, from which alone lanes take calls then."""
        return f"sip:1000@{self.host(edge).address}:{5060 if self.edge else 5070}"

    def live_calls(self, host: str, lane: int) -> int:
        """Calls on a lane, by the lane's own count."""
        return int(self.metric(host, 9500 + lane, "tellerline_connector_calls{"))

    def metric(self, host: str, port: int, series: str) -> float:
        """What a daemon counts, over all series that begin so; 0 where there is none yet."""
        address = self.host(host).address
        read = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
        shown = self.host(host).ssh("python3", "-c", read, f"http://{address}:{port}/metrics").stdout
        return sum(float(line.split()[-1]) for line in shown.splitlines() if line.startswith(series))

    def records(self, data: str) -> tuple[int, int]:
        """Calls in the database, and how many of them are still open."""
        query = "select count(*), count(*) filter (where state = 'open') from session.call"
        psql = "cd / && runuser -u postgres -- psql -At -F ' ' tellerline"
        shown = self.host(data).ssh(f'{psql} -c "{query}"').stdout
        everything, still_open = shown.split()
        return int(everything), int(still_open)

    def answers(self, to: str) -> bool:
        """Whether a call that is hung up at once is answered."""
        return self.callers(to, seconds=1).finish()[0].status == 200

    def start_play(self, playbook: str, *arguments: str) -> subprocess.Popen[str]:
        """Starts a playbook on the control side; its output is in the pipe."""
        command = ansible_playbook()
        assert command is not None
        inventories = ("inventory/hosts.yml", str(self.folder), str(self.site.inventory))
        given = [word for inventory in inventories for word in ("-i", inventory)]
        given += ["--vault-password-file", str(self._password)]
        return subprocess.Popen(
            self.site.command(command, *given, playbook, *arguments),
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(self, playbook: str, *arguments: str, check: bool = True) -> Run:
        """Runs a playbook to its end; raises HostsError with its last words when it fails."""
        began = time.monotonic()
        running = self.start_play(playbook, *arguments)
        output, _ = running.communicate()
        run = Run(running.returncode, output, time.monotonic() - began)
        with self.log.open("a") as log:
            log.write(f"==== {playbook} {' '.join(arguments)}: {run.status}, {run.seconds:.0f} s\n{output}\n")
        if check and run.status:
            raise HostsError(f"{playbook} ended with {run.status}:\n{output[-8000:]}")
        return run

    def call(self, scenario: str, to: str, *, check: bool = True, out: Path | None = None) -> dict[str, Any]:
        """A robot's call from the trunk: what happened, as `tellerline call --json` says it."""
        out = out or self.site.folder / "calls" / f"{time.time_ns()}"
        models = os.environ.get("TELLERLINE_MODELS", str(ROOT / "var" / "models"))
        given = (scenario, "--to", to, "--models", models, "--out", str(out))
        done = self.site.run(sys.executable, "-m", "tellerline", "call", *given, check=False)
        told = out / "call.json"
        report: dict[str, Any] = json.loads(told.read_text()) if told.exists() else {}
        self.count_answered(report.get("sip_status") == 200)
        if not report or (check and done.returncode):
            raise HostsError(f"the call did not hold:\n{done.stdout}{done.stderr}")
        return report

    def callers(self, to: str, calls: int = 1, seconds: float = 30, apart_ms: int = 400) -> Callers:
        """Callers who stay on the line for so long; all are answered, or have been refused, at the return."""
        given = ("--calls", str(calls), "--seconds", str(seconds), "--apart-ms", str(apart_ms))
        script = str(Path(__file__).with_name("callers.py"))
        return Callers(self, self.site.command(sys.executable, script, to, *given), calls)

    @contextlib.contextmanager
    def colleague(self) -> Iterator[None]:
        """The person whom callers are handed to, at the desk meanwhile."""
        given = ("--host", TRUNK, "--port", str(COLLEAGUE_PORT))
        bound = ("setpriv", "--pdeathsig", "TERM")
        process = subprocess.Popen(
            [*bound, *self.site.command(sys.executable, "-m", "tellerline.robot.colleague", *given)],
            stdin=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=10)

    def _write_variables(self, variables: Mapping[str, Any]) -> None:
        made = bundle()
        site: dict[str, Any] = {
            "tellerline_trunks": [
                {"name": "carrier", "addresses": [TRUNK], "tls": False, "srtp": False, "calls": 24}
            ],
            "tellerline_transfer_target": COLLEAGUE,
            # The robot's SIP port is any; a carrier's is 5060. What is sent within a long call is a new flow.
            "nftables_trunk_sip_ports": ["1024-65535"],
        }
        if made is not None:
            site["tellerline_bundle"] = str(made)
            site["tellerline_bundle_key"] = (made / "minisign.pub").read_text().splitlines()[1]
        self._variables.write_text(yaml.safe_dump({**site, **variables}))
        with open(self._password, "w", opener=_private) as file:
            file.write(secrets.token_hex(16))
        # As an operator's first step; given so, its questions are not asked.
        answers = {
            "vault_file": str(self._vault),
            "vault_password": self._password.read_text(),
        }
        self.play("playbooks/vault.yml", "-e", json.dumps(answers))

    def _without_edge(self) -> None:
        hosts = self.folder / "hosts.yml"
        groups = yaml.safe_load(hosts.read_text())
        groups["all"]["children"]["edge"] = {"hosts": {}}
        hosts.write_text(yaml.safe_dump(groups))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
