"""A transfer on the wire: REFER to a colleague's telephone that answers, and the bot leaves the call."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tellerline.ports import free_sip_port
from tellerline.robot import dial, script
from tellerline.robot.process import CallPlan
from tellerline.stack import Stack


@pytest.fixture
def colleague() -> Iterator[str]:
    """The SIP URI of a colleague's telephone that runs."""
    port = free_sip_port("127.0.0.1", 5310)
    process = subprocess.Popen([sys.executable, "-m", "tellerline.robot.colleague", "--port", str(port)])
    try:
        yield f"sip:colleague@127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0


def test_a_caller_put_through_reaches_the_colleague(colleague: str, tmp_path: Path) -> None:
    overrides = {"transfer_target": colleague}
    connector = {"sip": {"port": 5320}, "transfer_targets": (colleague,)}
    with Stack(echo=True, home=tmp_path, pipeline=overrides, connector=connector) as stack:
        uri = stack.state.lanes[0].sip_uri.replace("tellerline@", "transfer@")
        plan = CallPlan("transfer", uri, (script.Pause(0, 12_000),), max_seconds=30)
        (trace,) = asyncio.run(dial.place([plan]))
    assert trace.referred_to.strip("<>").startswith(colleague)
    # The connector heard of the colleague's 200 OK by NOTIFY, told the pipeline, and that hung up.
    assert trace.ended_by == "bot"
