"""Logs to the SIEM, by Debian's rsyslog with the role's own configuration: over TLS, and to nobody else."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jinja2
import pytest
import yaml
from free_ports import free_port

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "rsyslog"
_UNPACKED = ROOT / "var" / "rsyslog"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_NAME = "siem.bank.example"


@pytest.fixture(scope="module")
def program() -> tuple[str, dict[str, str]]:
    """rsyslogd with its TLS driver, and the environment it wants."""
    for root in (_UNPACKED, Path("/")):
        modules = root / _LIBRARIES / "rsyslog"
        if (modules / "lmnsd_gtls.so").exists():
            libraries = {} if root == Path("/") else {"LD_LIBRARY_PATH": str(root / _LIBRARIES)}
            return str(root / "usr/sbin/rsyslogd"), {**libraries, "RSYSLOG_MODDIR": str(modules)}
    pytest.skip("NO rsyslog here: logs to the SIEM are not tried (`scripts/machine run test` brings it)")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, and a certificate of the SIEM from each."""
    folder = tmp_path_factory.mktemp("pki")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for authority in ("bank", "stranger"):
        own = ["-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-subj", f"/CN={authority}"]
        subprocess.run([*made, *own], cwd=folder, check=True, capture_output=True)
        signed = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-subj", f"/CN={_NAME}"]
        signed += ["-addext", f"subjectAltName=DNS:{_NAME}", "-addext", "basicConstraints=critical,CA:false"]
        files = ["-keyout", f"siem-{authority}.key", "-out", f"siem-{authority}.pem"]
        subprocess.run([*made, *signed, *files], cwd=folder, check=True, capture_output=True)
    return folder


class Siem:
    """Takes syslog over TLS (RFC 5425) on a port of loopback. Use as a context manager."""

    def __init__(self, certificate: Path, port: int = 0) -> None:
        self.lines: queue.Queue[str] = queue.Queue()
        self.connections = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self._door = socket.create_server(("127.0.0.1", port))
        self.port = int(self._door.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Siem:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join(10)

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    plain, _ = self._door.accept()
                except OSError:
                    return
                self.connections += 1
                stack.callback(plain.close)
                with contextlib.suppress(OSError):
                    self._read(plain)

    def _read(self, plain: socket.socket) -> None:
        with self._context.wrap_socket(plain, server_side=True) as channel, channel.makefile("rb") as stream:
            channel.settimeout(10)
            while size := _number(stream.read(1)):
                while (digit := stream.read(1)) != b" ":
                    size = size * 10 + _number(digit)
                line = stream.read(size).decode().rstrip("\n")
                self.lines.put(line)
                if line.endswith("last"):
                    return


def _number(digit: bytes) -> int:
    return int(digit) if digit else 0


@pytest.fixture
def start(program: tuple[str, dict[str, str]], pki: Path, tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts rsyslog as the role configures it, with a UDP port where the journal is on a host."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(port: int, peer: str = _NAME) -> int:
        ear = free_port()
        values = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
        values.update(rsyslog_siem_host="127.0.0.1", rsyslog_siem_port=port, rsyslog_siem_peer=peer)
        text = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
        config = text.from_string((ROLE / "templates" / "rsyslog.conf.j2").read_text()).render(
            ansible_managed="under test", **values
        )
        listened = f'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{ear}")'
        config, replaced = re.subn(r"^module\(load=\"imjournal\".*\)$", listened, config, flags=re.MULTILINE)
        assert replaced == 1
        config = config.replace("/var/spool/rsyslog", str(tmp_path))
        config = config.replace("/etc/tellerline/siem-authority.pem", str(pki / "bank.pem"))
        file = tmp_path / "rsyslog.conf"
        file.write_text(config)
        command, environment = program
        options = ["-n", "-f", str(file), "-i", str(tmp_path / "pid")]
        running.append(subprocess.Popen([command, *options], env={**os.environ, **environment}))
        deadline = time.monotonic() + 10
        while not (tmp_path / "pid").exists():
            assert running[-1].poll() is None and time.monotonic() < deadline, "rsyslog did not start"
            time.sleep(0.05)
        return ear

    yield begin
    for one in running:
        one.terminate()
        one.wait(20)


def _say(ear: int, text: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.sendto(f"<13>Nov 23 03:00:00 gpu1 tellerline-connector: {text}".encode(), ("127.0.0.1", ear))


def test_a_line_reaches_the_siem_over_tls(start: Callable[..., int], pki: Path) -> None:
    with Siem(pki / "siem-bank.pem") as siem:
        _say(start(siem.port), "call 7 ended, the last")
        line = siem.lines.get(timeout=20)
    # RFC 5424: a priority, its version, the time, who.
    assert re.match(r"<13>1 \d{4}-\d\d-\d\dT\S+ gpu1 tellerline-connector ", line)
    assert line.endswith("call 7 ended, the last")


@pytest.mark.parametrize(("certificate", "peer"), [("stranger", _NAME), ("bank", "another.bank.example")])
def test_nothing_goes_to_who_is_not_the_siem(
    start: Callable[..., int], pki: Path, certificate: str, peer: str
) -> None:
    with Siem(pki / f"siem-{certificate}.pem") as siem:
        ear = start(siem.port, peer)
        _say(ear, "call 7 ended, the last")
        deadline = time.monotonic() + 20
        while not siem.connections:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # It tries again; each time it looks at the certificate first.
        with pytest.raises(queue.Empty):
            siem.lines.get(timeout=2)


def test_what_was_said_while_the_siem_was_away_comes_later(start: Callable[..., int], pki: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        gone.settimeout(20)
        port = int(gone.getsockname()[1])
        ear = start(port)
        for number in range(20):
            _say(ear, f"line {number}")
        _say(ear, "the last")
        # It knocked, and nobody spoke TLS with it.
        gone.accept()[0].close()
    with Siem(pki / "siem-bank.pem", port) as siem:
        heard = []
        while not heard or not heard[-1].endswith("last"):
            heard.append(siem.lines.get(timeout=40))
    assert [line.rpartition("line ")[2] for line in heard[:-1]] == [str(number) for number in range(20)]
