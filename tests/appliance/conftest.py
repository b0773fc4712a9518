"""Fixtures of the appliance tests: sites of booted hosts. Collected only by `make test-appliance`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts import Capture, Host, Site, why_not
from installation import Appliance, Run, ansible_playbook, bundle

# Long enough for a site's whole installation on two cores, beside which nothing else takes long.
_TEST_SECONDS = 1800
# The files in the order they are run in. Those from the third to the last but one are one story, told on one
# server: the later ones break what the first one made.
_STORY = ("hosts", "bundle", "single_server", "faults", "drain", "truth", "upgrade", "power", "several_hosts")

# How many calls two cores take is the benchmarks' affair. Here lanes are the limit: callers only press keys.
_SINGLE = {"tellerline_gpus": ["cpu"], "tellerline_lanes": 2, "engine_max_calls": 8}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Plain `pytest` leaves these out: they take most of an hour."""
    return None if "appliance" in (config.option.markexpr or "") else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.appliance)
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS))
    if all(item.path.is_relative_to(here) for item in items):
        items.sort(key=lambda item: _STORY.index(item.path.stem.removeprefix("test_")))


def missing() -> str | None:
    """What this machine lacks for installing a site, or None."""
    if refusal := why_not():
        return refusal
    if ansible_playbook() is None:
        return "no ansible-playbook; `make ansible` makes one"
    if bundle() is None:
        return "no bundle; `make bundle` makes one (docs/bundle.md), or set TELLERLINE_BUNDLE"
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line what went untested for want of something: a skip is easily overlooked."""
    reason = missing()
    if reason is None and not any(bundle().glob("debs/opensips_*")):
        reason = "with an edge (the bundle has no OpenSIPS; docs/bundle.md)"
    if reason and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line(f"NOT TESTED, the appliance: {reason}", red=True, bold=True)


@contextlib.contextmanager
def _opened(name: str, session: pytest.Session) -> Iterator[Site]:
    """A site that ends with the tests whatever happens to them.

    Its files stay where one of them failed, to look at what it left, until the next run. With KEEP_SITES they
    stay always, and the next run boots the hosts again.
    """
    if refusal := why_not():
        pytest.skip(refusal)
    keep = bool(os.environ.get("KEEP_SITES"))
    made = Site(name)
    if keep:
        made.close()
    else:
        made.remove()
    made.open(bound=True)
    failed = session.testsfailed
    try:
        yield made
    finally:
        if keep or session.testsfailed > failed:
            made.close()
            print(f"kept for looking at: {made.folder}")
        else:
            made.remove()


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """An empty site of the module's own."""
    name = "".join(filter(str.isalnum, request.module.__name__.removeprefix("test_")))
    with _opened(name, request.session) as made:
        yield made


@pytest.fixture(scope="module")
def appliance(site: Site) -> Iterator[Callable[..., Appliance]]:
    """Makes the site's appliance: an example's inventory, its hosts booted, nothing installed yet."""
    with contextlib.ExitStack() as desk:

        def make(example: str, *names: str, **variables: Any) -> Appliance:
            if lacking := missing():
                pytest.skip(lacking)
            site.add(*names)
            made = Appliance(site, example, variables)
            desk.enter_context(made.colleague())
            return made

        yield make


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Appliance]:
    """A server with everything on it but a GPU, and two lanes."""
    if lacking := missing():
        pytest.skip(lacking)
    with _opened("single", request.session) as made:
        made.add("teller1")
        single = Appliance(made, "single-server", _SINGLE)
        with single.colleague():
            yield single


@pytest.fixture(scope="session")
def teller1(server: Appliance) -> Host:
    return server.host("teller1")


@pytest.fixture(scope="session")
def capture(server: Appliance) -> Iterator[Capture]:
    """Of everything these tests do there."""
    recording = server.site.capture()
    yield recording
    recording.stop()


@pytest.fixture(scope="session")
def installed(server: Appliance, capture: Capture) -> Run:
    return server.play("site.yml")
