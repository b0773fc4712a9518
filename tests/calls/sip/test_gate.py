"""The gate alone, before a bare pjsua2 endpoint in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sip_lane import ReservedPort
from sip_phone import LOOPBACK, Message, Phone, wait_until

from tellerline.connector import pjsip_layout
from tellerline.errors import SipError


class Endpoint:
    """The process of gate_endpoint.py."""

    def __init__(self) -> None:
        self._reserved = ReservedPort()
        self.address = (LOOPBACK, self._reserved.number)
        script = Path(__file__).with_name("gate_endpoint.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(self.address[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.refused: list[str] = []
        self._read_until("started")

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        self._read_until("done")

    def ask(self, method: str, extra: str = "") -> Message:
        with Phone(self.address) as phone:
            return phone.transact(phone.request(method, phone.sdp() if method == "INVITE" else "", extra))

    def close(self) -> int:
        self.process.communicate("quit\n", timeout=10)
        self._reserved.close()
        return self.process.returncode

    def _read_until(self, word: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == word:
                return
            if line.startswith("refused"):
                self.refused.append(line.strip())
        raise AssertionError(f"the endpoint ended with {self.process.wait()}")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    running = Endpoint()
    try:
        yield running
    finally:
        assert running.close() == 0


def test_nothing_is_taken_before_it_is_said_to_be_ready(endpoint: Endpoint) -> None:
    endpoint.tell("beat")
    assert [endpoint.ask(method).status for method in ("OPTIONS", "INVITE")] == [503, 503]
    endpoint.tell("ready")
    assert endpoint.ask("OPTIONS").status == 200
    endpoint.tell("beat")  # its answer comes after whatever was said before
    assert endpoint.refused == ["refused OPTIONS 503", "refused INVITE 503"]


def test_retry_after_is_the_one_said_last(endpoint: Endpoint) -> None:
    for seconds in (17, 5, 17):
        endpoint.tell(f"drain {seconds}")
        assert [endpoint.ask(m).header("Retry-After") for m in ("OPTIONS", "INVITE")] == [str(seconds)] * 2


def test_without_a_heartbeat_it_counts_as_not_ready(endpoint: Endpoint) -> None:
    endpoint.tell("ready")
    assert endpoint.ask("OPTIONS").status == 503
    endpoint.tell("beat")
    assert endpoint.ask("OPTIONS").status == 200
    wait_until(lambda: endpoint.ask("OPTIONS").status == 503, 5, "the heartbeat to be missed")
    endpoint.tell("beat")
    assert endpoint.ask("OPTIONS").status == 200


def test_declines_are_final_responses_with_a_tag(endpoint: Endpoint) -> None:
    for method in ("REFER", "SUBSCRIBE"):
        reply = endpoint.ask(method, extra="Refer-To: <sip:x@127.0.0.1:9>\r\nEvent: presence\r\n")
        assert reply.status == 603
        assert ";tag=" in reply.header("To")


def test_refuses_a_library_of_another_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pjsip_layout, "KNOWN_VERSIONS", ("2.99",))
    with pytest.raises(SipError, match=r"layout is not a known one .*2\.15\.1.*2\.99"):
        pjsip_layout.load()
