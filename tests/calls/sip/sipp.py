"""Runs one sipp scenario against a lane and gives back every SIP message of it."""

from __future__ import annotations

import dataclasses
import re
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest
from free_ports import free_port
from sip_lane import Lane
from sip_phone import LOOPBACK, Message

SCENARIOS = Path(__file__).parent / "scenarios"
_SEPARATOR = re.compile(rb"^-{40,} .*\n(?:UDP|TCP) message (sent|received).*\n\n", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Dialogue:
    """The messages of one scenario in order; `sent` by sipp, `received` from the lane."""

    call_id: str
    sent: list[Message]
    received: list[Message]

    def replies(self, method: str, status: int) -> list[Message]:
        return [m for m in self.received if m.method == method and m.status == status]

    def requests(self, method: str) -> list[Message]:
        return [m for m in self.received if m.method == method and not m.status]


@dataclasses.dataclass(frozen=True)
class Dialled:
    """Where to send calls, if not to a lane: the edge in front of it."""

    address: tuple[str, int]


class Sipp:
    """A running sipp with one scenario and one call."""

    def __init__(
        self,
        lane: Lane | Dialled,
        scenario: str,
        folder: Path,
        called: str = "echo",
        seconds: int = 20,
        host: str = LOOPBACK,
        **keys: str,
    ) -> None:
        if shutil.which("sipp") is None:
            pytest.fail("sipp is not installed: apt-get install sip-tester")
        self._seconds = seconds
        name = f"{scenario}-{secrets.token_hex(3)}"
        self._messages, self._errors = folder / f"{name}.messages", folder / f"{name}.errors"
        self.call_id = f"{name}@{host}"
        self.port, media_port = free_port(host), free_port(host, even=True)
        command = ["sipp", f"{lane.address[0]}:{lane.address[1]}", "-sf", str(SCENARIOS / f"{scenario}.xml")]
        command += ["-s", called, "-m", "1", "-l", "1", "-cid_str", self.call_id, "-nostdin", "-skip_rlimit"]
        command += ["-i", host, "-p", str(self.port), "-mi", host, "-mp", str(media_port)]
        command += ["-timeout", f"{seconds}s", "-timeout_error", "-recv_timeout", f"{seconds * 1000}"]
        command += ["-trace_msg", "-message_file", str(self._messages)]
        command += ["-trace_err", "-error_file", str(self._errors)]
        for key, value in {"formats": "0 8 101", "ptime": "20", **keys}.items():
            command += ["-key", key, value]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def finish(self) -> Dialogue:
        """Waits for the end of the scenario; fails with sipp's own words unless it went as written."""
        try:
            code = self._process.wait(self._seconds + 10)
        finally:
            self.stop()
        sent, received = self._dialogue()
        if code != 0:
            errors = self._errors.read_text(errors="replace")[:2000] if self._errors.exists() else ""
            seen = "\n".join(f"  {m.method} {m.start}" for m in received)
            pytest.fail(f"sipp ended with {code}\n{errors}\nreceived:\n{seen}")
        return Dialogue(self.call_id, sent, received)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _dialogue(self) -> tuple[list[Message], list[Message]]:
        data = self._messages.read_bytes() if self._messages.exists() else b""
        parts = _SEPARATOR.split(data)[1:]
        messages: dict[bytes, list[Message]] = {b"sent": [], b"received": []}
        for direction, text in zip(parts[::2], parts[1::2], strict=True):
            messages[direction].append(Message.parse(text))
        return messages[b"sent"], messages[b"received"]
