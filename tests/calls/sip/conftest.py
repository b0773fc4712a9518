"""Lanes under test, and sipp."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sip_lane import TRANSFER_TARGET, Lane
from sipp import Sipp

LaneMaker = Callable[..., Lane]
SippRunner = Callable[..., Sipp]


@pytest.fixture(scope="session")
def _shared_lane() -> Iterator[Lane]:
    # Not tmp_path: a unix socket's path must be short.
    with (
        tempfile.TemporaryDirectory(prefix="tlsip-") as folder,
        contextlib.closing(Lane(Path(folder), transfer_target=TRANSFER_TARGET)) as lane,
    ):
        yield lane


@pytest.fixture
def lane(_shared_lane: Lane) -> Iterator[Lane]:
    """A ready lane with no call, shared by the tests that leave it as they found it."""
    logged = len(_shared_lane.log())
    yield _shared_lane
    # Shown with a test that failed: a 503 says in the log what it was for.
    print(_shared_lane.log()[logged:])
    assert _shared_lane.process.poll() is None, "the connector died"
    _shared_lane.wait_idle()


@pytest.fixture
def make_lane() -> Iterator[LaneMaker]:
    """Starts a lane of the test's own; keyword arguments are its SIP settings."""
    with contextlib.ExitStack() as stack:

        def make(**sip: object) -> Lane:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tlsip-"))
            return stack.enter_context(contextlib.closing(Lane(Path(folder), **sip)))

        yield make


@pytest.fixture
def sipp(lane: Lane, tmp_path: Path) -> Iterator[SippRunner]:
    """Starts a scenario of `scenarios/` against the shared lane."""
    with contextlib.ExitStack() as stack:

        def start(scenario: str, **options: object) -> Sipp:
            running = Sipp(lane, scenario, tmp_path, **options)  # type: ignore[arg-type]
            stack.callback(running.stop)
            return running

        yield start


@pytest.fixture(scope="session", autouse=True)
def lane_refresh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sipp | None]:
    """A call whose session the lane must refresh, begun first and looked at last.

    RFC 4028 allows no interval under 90 s, so the refresh takes 45 s; the other tests run meanwhile.
    """
    if not any(
        "lane_refresh" in getattr(item, "fixturenames", ()) and item.name.startswith("test_lane_refreshes")
        for item in request.session.items
    ):
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="tlsip-") as folder,
        contextlib.closing(Lane(Path(folder), rtp_silence_seconds=90)) as lane,
    ):
        running = Sipp(lane, "session_timer_lane", tmp_path_factory.mktemp("refresh"), seconds=75)
        yield running
        running.stop()
