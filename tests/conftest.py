"""Fixtures every test may ask for: shared recordings, the model store, running daemons, free ports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tellerline.engine import manifest
from tellerline.engine.store import ModelStore
from tellerline.stack import MANIFEST, Stack
from tellerline.stack_state import HOME

_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_NO_SHARED_DATA = f"no recordings at {_SHARED_DATA}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recordings and torture messages kept beside the checkout; tests that need them skip without."""
    if not _SHARED_DATA.is_dir():
        pytest.skip(_NO_SHARED_DATA)
    return _SHARED_DATA


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line what went untested for want of recordings: a skip is easily overlooked."""
    skipped = terminalreporter.stats.get("skipped", [])
    untested = [report.nodeid for report in skipped if _NO_SHARED_DATA in str(report.longrepr)]
    if untested:
        line = f"NOT TESTED, {_NO_SHARED_DATA}: {', '.join(untested)}"
        terminalreporter.write_line(line, red=True, bold=True)


@pytest.fixture(scope="session")
def whole(_store: ModelStore) -> Callable[[str], None]:
    """Fails the test when a model is not complete. Taking one lasts longer than a test may."""

    def check(name: str) -> None:
        faults = "; ".join(map(str, _store.faults(name)))
        if faults:
            pytest.fail(f"{name}: {faults}; `make test` takes what tests need, or `tellerline models take`")

    return check


@pytest.fixture(scope="session")
def _store() -> ModelStore:
    root = Path(os.environ.get("TELLERLINE_MODELS", HOME / "models"))
    return ModelStore(root, manifest.load(MANIFEST))


@pytest.fixture(scope="session")
def model_store(_store: ModelStore, whole: Callable[[str], None]) -> ModelStore:
    """The starter models, complete, at $TELLERLINE_MODELS or ./var/models."""
    for name in _store.names():
        whole(name)
    return _store


@pytest.fixture(scope="session")
def engine_socket(model_store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a running engine, started once: loading its models takes seconds."""
    home = tmp_path_factory.mktemp("engine")
    with Stack(lanes=0, home=home, model_store=model_store.root) as stack:
        assert stack.state.engine_socket is not None
        yield stack.state.engine_socket


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A stack's home: empty, but for the phrases that were rendered before for the same texts and voice."""
    return _with_phrases(tmp_path)


@pytest.fixture(scope="module")
def module_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `home`, for a stack that a module's tests share."""
    return _with_phrases(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def stack(
    model_store: ModelStore, engine_socket: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A running stack of one lane on the session's engine."""
    home = _with_phrases(tmp_path_factory.mktemp("stack"))
    pipeline = {"engine_socket": engine_socket}
    with Stack(home=home, model_store=model_store.root, pipeline=pipeline) as running:
        yield running


@pytest.fixture(scope="module")
def echo_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack of one lane that echoes its callers; no models."""
    connector = {"sip": {"port": 5080, "rtp_port_first": 20400}}
    with Stack(echo=True, home=tmp_path_factory.mktemp("echo"), connector=connector) as running:
        yield running


def _with_phrases(home: Path) -> Path:
    rendered = HOME / "phrases"
    rendered.mkdir(parents=True, exist_ok=True)
    (home / "phrases").symlink_to(rendered)
    return home
