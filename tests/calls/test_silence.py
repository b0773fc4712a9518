"""Nobody is phoned: a stack that takes a call sends no packet but its own, on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tellerline.engine.store import ModelStore

CUT_OFF = Path(__file__).with_name("cut_off.py")
CONTROL = "198.51.100.7"
ICMP = 1
# Nothing that says this is a test: onnxruntime from 1.29 on hides its telemetry where CI is set. Nothing
# that switches it off either, which the product has to do by itself.
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}

Flow = dict[str, Any]


def cut_off(flows: Path, *command: str) -> list[Flow]:
    """Runs `command` where every attempt to reach anyone is seen; returns all but our own last one."""
    apart = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")
    if subprocess.run((*apart, "true"), capture_output=True).returncode != 0:
        # Where every check is meant to run, one that proves nothing must not look like one that holds.
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"NOT TESTED, that nobody is phoned: {' '.join(apart)} is not allowed here")
    done = subprocess.run(
        (*apart, sys.executable, str(CUT_OFF), str(flows), *command),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen: list[Flow] = json.loads(flows.read_text())
    assert [flow for flow in seen if flow["target"] == CONTROL], "the recorder saw nothing"
    return [flow for flow in seen if flow["target"] != CONTROL]


def strangers(flows: list[Flow]) -> list[Flow]:
    """Flows that are not between two ports of our own on loopback."""
    return [flow for flow in flows if not is_ours(flow)]


def is_ours(flow: Flow) -> bool:
    """SIP, RTP and the sandbox bank on loopback; and ICMP there, the kernel's word that a port has closed."""
    if {flow["source"], flow["target"]} != {"127.0.0.1"}:
        return False
    return flow["protocol"] == f"ip {ICMP}" or (
        flow["protocol"] in ("udp", "tcp") and min(flow["source_port"], flow["target_port"]) >= 1024
    )


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.getaddrinfo('telemetry.example', 443)",
        "socket.create_connection(('192.0.2.99', 443), timeout=0.2)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('8.8.8.8', 443))",
        "socket.create_connection(('127.0.0.1', 443), timeout=0.2)",
    ],
)
def test_an_attempt_to_reach_anyone_is_seen(attempt: str, tmp_path: Path) -> None:
    code = f"import contextlib, socket\nwith contextlib.suppress(OSError):\n    {attempt}"
    assert strangers(cut_off(tmp_path / "flows.json", sys.executable, "-c", code))


@pytest.mark.timeout(300)
def test_a_whole_call_phones_nobody(model_store: ModelStore, home: Path) -> None:
    where = ("--home", str(home), "--models", str(model_store.root))
    call = (sys.executable, "-m", "tellerline", "call", "--say", "What can you do for me?", *where)
    flows = cut_off(
        home / "flows.json", sys.executable, "-m", "tellerline", "up", *where, "--", *call, "--out", str(home)
    )
    assert strangers(flows) == []
    ports = {flow["target_port"] for flow in flows}
    assert 5070 in ports and any(20000 <= port < 20040 for port in ports), "no call was placed"
