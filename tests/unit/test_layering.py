"""Which module may import which library: a vendor's name outside of its adapter fails here."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import tellerline

PACKAGE = Path(tellerline.__file__).parent

# Library → the modules that import it. Exactly these: what has stopped importing it leaves the list.
ADAPTERS = {
    "psycopg": {
        "database/postgres.py",
        "database/migrate.py",
        "banking/postgres.py",
        "session/postgres.py",
        # Their transactions are the daemon's own, or one statement after another of a single task.
        "session/erasure.py",
        "session/export.py",
        "session/retention.py",
        # An operator looks, one statement at a time.
        "session/aside.py",
        # The audit chain: written in whoever's transaction it is, read as a whole (docs/adr/0014).
        "audit.py",
        "audit_heads.py",
        "audit_verification.py",
        "recordings.py",
        # Commands that open one connection, and tell what the database said.
        "cli/audit.py",
        "cli/call_records.py",
        "cli/erase.py",
        "cli/retention.py",
        # Starts the servers, and counts what benchmarks left in them.
        "embedded/stores.py",
        "robot/benchmarks/outage.py",
        "robot/benchmarks/session.py",
    },
    "redis": {"database/redis.py", "banking/redis.py", "session/redis.py", "embedded/stores.py"},
    "pjsua2": {
        "connector/sip.py",
        "connector/sip_dialog.py",
        "connector/sip_setup.py",
        "robot/colleague.py",
        "robot/sip.py",
    },
    "fastapi": {"sandbox_bank/app.py"},
    "uvicorn": {"sandbox_bank/server.py"},
    "purgatory": {"breaker.py"},
    "tenacity": {"banking/rest.py"},
}

# Rules of the bank and of a conversation: no framework, no wire, no database.
PURE = (
    "banking/authentication.py",
    "banking/authorisation.py",
    "banking/books.py",
    "banking/enquiries.py",
    "banking/model.py",
    "banking/orders.py",
    "banking/ports.py",
    "language",
    "pipeline/flows",
    "sandbox_bank/ledger.py",
    "sandbox_bank/orders.py",
    "session/handlers.py",
    "session/model.py",
    "session/ports.py",
)
# pipecat's frames to the flows' events, and back.
_FRONT_DESK = "pipeline/flows/front_desk.py"
_FRAMEWORKS = {"fastapi", "grpc", "httpx", "pipecat", "pjsua2", "psycopg", "psycopg_pool", "redis", "uvicorn"}


@functools.cache
def _imports(module: Path) -> frozenset[str]:
    """The libraries a module imports, wherever in it."""
    return frozenset(_imported(module))


def _imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _modules(below: str = "") -> list[Path]:
    start = PACKAGE / below
    return [start] if start.is_file() else sorted(start.rglob("*.py"))


def _importing(*libraries: str) -> set[str]:
    found = (module for module in _modules() if not set(libraries).isdisjoint(_imports(module)))
    return {module.relative_to(PACKAGE).as_posix() for module in found}


@pytest.mark.parametrize("library", ADAPTERS)
def test_a_library_is_imported_by_its_adapters_alone(library: str) -> None:
    # The pool is a distribution of its own.
    names = (library, "psycopg_pool") if library == "psycopg" else (library,)
    assert _importing(*names) == ADAPTERS[library]


def test_pipecat_stays_in_the_pipeline() -> None:
    importing = _importing("pipecat")
    assert importing and all(module.startswith("pipeline/") for module in importing)


@pytest.mark.parametrize("below", PURE)
def test_rules_know_no_framework(below: str) -> None:
    modules = [m for m in _modules(below) if m.relative_to(PACKAGE).as_posix() != _FRONT_DESK]
    assert modules and {m.name: _FRAMEWORKS.intersection(_imports(m)) for m in modules} == {
        m.name: set() for m in modules
    }
