"""What the edge tells of SIP: every message of a call, and nothing of who called or what was typed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_process import ROOT, Addresses, Edge
from sip_end import SipEnd
from sip_phone import wait_until

_WRITER = ROOT / "roles" / "sip_trace" / "files" / "sip_trace.py"


@pytest.fixture
def written(at: Addresses, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Where the writer of traces listens, and its file."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((at(5), 0))
        listen = f"{at(5)}:{probe.getsockname()[1]}"
    command = [sys.executable, "-I", str(_WRITER), "--listen", listen, "--folder", str(tmp_path)]
    with subprocess.Popen(command) as writer, contextlib.ExitStack() as stack:
        stack.callback(writer.terminate)
        wait_until((tmp_path / "sip.log").exists, 5, "the writer to listen")
        yield listen, tmp_path / "sip.log"


def test_a_call_is_written_down_without_the_caller(at: Addresses, written: tuple[str, Path]) -> None:
    listen, file = written
    settings = {"sip_trace_here": listen, "sip_trace_source": f"{at(5)}:9061"}
    with SipEnd(at(41)) as lane, Edge(at, [lane.address], **settings) as edge:
        with edge.phone(called="908501234567") as phone:
            assert phone.invite().status == 200
            phone.talk().sending = False
        wait_until(lambda: file.read_text().count("cseq: 2 BYE") >= 4, 5, "the end of the call in the trace")
        text = file.read_text()
    assert "INVITE sip:***67@" in text
    # From the trunk to the edge, and from the edge to the lane.
    for one, other in ((edge.trunk, edge.address), (edge.inside, lane.address[0])):
        assert any(f" {one}:" in line and f"> {other}:" in line for line in text.splitlines())
    for secret in ("908501234567", "<sip:phone@"):
        assert secret not in text


def test_a_call_does_not_mind_that_nobody_listens(at: Addresses) -> None:
    settings = {"sip_trace_here": f"{at(5)}:9", "sip_trace_source": f"{at(5)}:9061"}
    with SipEnd(at(41)) as lane, Edge(at, [lane.address], **settings) as edge, edge.phone() as phone:
        assert phone.invite().status == 200
        phone.talk().sending = False
