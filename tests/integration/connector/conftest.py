"""Fixtures of the connector's process tests."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# The telephone of raw sockets that the SIP tests dial with.
sys.path.append(str(Path(__file__).resolve().parents[2] / "calls" / "sip"))

from lane_processes import LaneMaker, LaneProcesses


@pytest.fixture
def make_lane() -> Iterator[LaneMaker]:
    """Starts a ready lane; keyword arguments are its connector settings."""
    with contextlib.ExitStack() as stack:

        def make(**changes: Any) -> LaneProcesses:
            # Not tmp_path: a unix socket's path must be short.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tlcon-"))
            lane = LaneProcesses(Path(folder), **changes)
            stack.callback(lane.close)
            lane.start_pipeline()
            lane.start_connector()
            lane.wait_ready()
            return lane

        yield make
