"""The robot's whole conversation through the edge, with everything behind it: models, pipeline, lane."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from edge_process import Addresses, Edge
from sip_phone import wait_until

from tellerline.engine.store import ModelStore
from tellerline.stack import Stack

# What a socket on loopback that chose no address sends from.
_ROBOT = "127.0.0.1"


# A call that other processes disturbed is placed again, twice at most, of a minute each.
@pytest.mark.timeout(400)
def test_the_robots_call_holds_through_the_edge(
    at: Addresses, engine_socket: Path, model_store: ModelStore, home: Path, tmp_path: Path
) -> None:
    lane = (at(26), 5070)
    sip = {"bind_host": lane[0], "port": lane[1], "rtp_port_first": 20800}
    trunks = [{"name": "carrier", "addresses": [_ROBOT], "calls": 4}]
    with (
        Stack(
            home=home,
            model_store=model_store.root,
            pipeline={"engine_socket": engine_socket},
            connector={"sip": sip},
        ) as stack,
        Edge(at, [lane], trunks=trunks) as edge,
    ):
        watched = str(stack.state.lanes[0].pipeline_socket)
        done = subprocess.run(
            (
                *(sys.executable, "-m", "tellerline", "call", "first_call"),
                *("--to", f"sip:100@{edge.address}:{edge.port}", "--watch-socket", watched),
                *("--home", str(home), "--models", str(model_store.root), "--out", str(tmp_path / "call")),
            ),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads((tmp_path / "call" / "call.json").read_text())
        assert report["passed"]
        assert len(report["turns"]) >= 6
        assert f"call {report['sip_call_id']} of trunk carrier answered" in edge.log()
        wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 10, "the edge to forget the call")
