"""An edge with lanes behind it, for every test of this folder."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edge_lane import EdgeLane
from edge_process import Addresses, Edge, missing
from sipp import Dialled, Sipp

_NO_OPENSIPS = "no edge on this machine"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs the real edge where it is not installed."""
    lacking = missing()
    for item in items:
        if lacking and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"{_NO_OPENSIPS}: {lacking} not found"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one loud line that the edge went untested."""
    skipped = terminalreporter.stats.get("skipped", [])
    untested = [report.nodeid for report in skipped if _NO_OPENSIPS in str(report.longrepr)]
    if untested:
        line = f"EDGE NOT TESTED: install {missing()} (docs/edge.md): {len(untested)} tests skipped"
        terminalreporter.write_line(line, red=True, bold=True)


@pytest.fixture(scope="session")
def at() -> Iterator[Addresses]:
    """Loopback addresses of this run."""
    with contextlib.closing(Addresses()) as addresses:
        yield addresses


@pytest.fixture
def make_lane(at: Addresses) -> Iterator[Callable[..., EdgeLane]]:
    """Starts a lane on the loopback host of this number."""
    with contextlib.ExitStack() as stack:

        def make(host: int = 21, **sip: object) -> EdgeLane:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tlsip-"))
            return stack.enter_context(contextlib.closing(EdgeLane(Path(folder), at(host), **sip)))

        yield make


@pytest.fixture
def make_edge(at: Addresses) -> Iterator[Callable[..., Edge]]:
    """Starts an edge in front of these lanes."""
    with contextlib.ExitStack() as stack:

        def make(*lanes: EdgeLane, **settings: object) -> Edge:
            return stack.enter_context(Edge(at, [lane.address for lane in lanes], **settings))

        yield make


@pytest.fixture(scope="session")
def _shared(at: Addresses) -> Iterator[tuple[Edge, EdgeLane, EdgeLane]]:
    with contextlib.ExitStack() as stack:
        lanes = []
        for host in (21, 22):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tlsip-"))
            target = f"sip:person@{at(10)}:5299"
            lane = EdgeLane(Path(folder), at(host), transfer_target=target)
            lanes.append(stack.enter_context(contextlib.closing(lane)))
        edge = stack.enter_context(Edge(at, [lane.address for lane in lanes], transfer_targets=[target]))
        yield edge, lanes[0], lanes[1]


@pytest.fixture(scope="session", autouse=True)
def refreshed_by_the_lane(
    request: pytest.FixtureRequest, at: Addresses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sipp | None]:
    """A call whose session the lane has to refresh, at an edge of its own: 45 s, while other tests run."""
    if missing() or not any(
        "refreshed_by_the_lane" in item.name for item in request.session.items if "edge" in item.path.parts
    ):
        yield None
        return
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tlsip-"))
        # sipp sends no sound.
        lane = EdgeLane(Path(folder), at(24), rtp_silence_seconds=90)
        stack.enter_context(contextlib.closing(lane))
        edge = stack.enter_context(Edge(at, [lane.address]))
        dialled = Dialled((edge.address, edge.port))
        folder = tmp_path_factory.mktemp("refresh")
        running = Sipp(dialled, "session_timer_lane", folder, seconds=75, host=edge.trunk)
        stack.callback(running.stop)
        yield running


@pytest.fixture
def edge(_shared: tuple[Edge, EdgeLane, EdgeLane]) -> Iterator[Edge]:
    """An edge with two lanes on two hosts and no call, shared by tests that leave it as they found it."""
    edge, *lanes = _shared
    logged = len(edge.log())
    yield edge
    print(edge.log()[logged:])
    assert edge.opensips is not None and edge.opensips.poll() is None, "OpenSIPS died"
    for lane in lanes:
        lane.wait_idle()


@pytest.fixture
def lanes(_shared: tuple[Edge, EdgeLane, EdgeLane]) -> tuple[EdgeLane, EdgeLane]:
    """The lanes behind `edge`."""
    return _shared[1], _shared[2]
