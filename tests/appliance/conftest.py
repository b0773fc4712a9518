"""Fixtures of the appliance tests: sites of booted hosts. Collected only by `make test-appliance`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts import Site, why_not
from installation import Appliance, ansible_playbook, bundle

# Long enough for a site's whole installation on two cores, beside which nothing else takes long.
_TEST_SECONDS = 1800


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Plain `pytest` leaves these out: they take most of an hour."""
    return None if "appliance" in (config.option.markexpr or "") else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.appliance)
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS))


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


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """An empty site of the module's own, which ends with the tests whatever happens to them."""
    if refusal := why_not():
        pytest.skip(refusal)
    digest = hashlib.sha256(request.module.__name__.encode()).hexdigest()[:6]
    made = Site(f"t{digest}")
    made.remove()
    made.open(bound=True)
    yield made
    if os.environ.get("KEEP_SITES"):
        # To look at what a failed test left; the hosts themselves end with this process.
        made.close()
    else:
        made.remove()


@pytest.fixture(scope="module")
def appliance(site: Site) -> Callable[..., Appliance]:
    """Makes the site's appliance: an example's inventory, its hosts booted, nothing installed yet."""

    def make(example: str, *names: str, **variables: Any) -> Appliance:
        if lacking := missing():
            pytest.skip(lacking)
        site.add(*names)
        return Appliance(site, example, variables)

    return make
