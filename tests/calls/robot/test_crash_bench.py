"""The crash benchmark on a real connector and an echo pipeline: what it does to it, and what it finds."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tellerline.robot.benchmarks import crash
from tellerline.robot.benchmarks.bench import Bench, Result
from tellerline.robot.caller import Caller
from tellerline.robot.scenario import parse
from tellerline.stack import MANIFEST, Stack

pytestmark = pytest.mark.timeout(180)

# The echo pipeline answers with what it is told, so the caller speaks first and last.
SCENARIO = """
name: an echo
turns:
  - say: {{wav: {wav}, text: a noise}}
  - wait_ms: 8000
  - say: {{wav: {wav}, text: a noise}}
"""


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose pipeline these tests take away."""
    connector = {"sip": {"port": 5340, "rtp_port_first": 34400}}
    with Stack(echo=True, home=tmp_path_factory.mktemp("crash"), connector=connector) as running:
        yield running


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_pipeline_is_taken_away_and_comes_back(lane: Stack, tmp_path: Path, how: str) -> None:
    wav = tmp_path / "line.wav"
    noise = np.random.default_rng(5).integers(-8000, 8000, 8000).astype(np.int16)
    with wave.open(str(wav), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(noise.tobytes())
    bench = Bench(tmp_path, tmp_path / "models", Caller(tmp_path / "models", MANIFEST), None, print)
    result = Result("crash")
    before = lane.supervisor.pid("pipeline@cpu-0")
    found = crash.take_away(bench, result, lane, how, parse(SCENARIO.format(wav=wav), "echo"))
    assert found.apology_ms is not None
    assert found.reattached
    assert (found.lost, found.ended_by) == (0, "caller")
    # A killed pipeline lives a new life, a stopped one has woken up.
    assert (lane.supervisor.pid("pipeline@cpu-0") == before) == (how == "stop")
    assert [take.used for take in result.takes] == [True]
