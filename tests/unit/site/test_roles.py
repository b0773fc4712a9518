"""What every role has: a specification of all its variables, and tags that are of use alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None


def tasks(given: Any) -> Iterator[dict[str, Any]]:
    for task in given or ():
        yield task
        for block in ("block", "rescue", "always"):
            yield from tasks(task.get(block))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_of_a_role_is_in_its_specification(role: Path) -> None:
    entries = loaded(role / "meta" / "argument_specs.yml")["argument_specs"]
    specified = {name for entry in entries.values() for name in entry.get("options") or ()}
    assert set(loaded(role / "defaults" / "main.yml") or ()) - specified == set()
    assert all(
        option["description"]
        for entry in entries.values()
        for option in (entry.get("options") or {}).values()
    )


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_what_is_included_runs_whatever_tag_chose_it(role: Path) -> None:
    """Tags of an include are its own: without `apply`, its tasks are left out of a run by tags, silently."""
    for path in sorted(role.glob("tasks/*.yml")):
        for task in tasks(loaded(path)):
            for name in ("ansible.builtin.include_tasks", "ansible.builtin.include_role"):
                if name in task:
                    included = task[name]
                    assert isinstance(included, dict), f"{path}: {task['name']}"
                    assert included.get("apply") == {"tags": ["always"]}, f"{path}: {task['name']}"


def test_what_is_written_is_in_the_same_order_every_time() -> None:
    """Ansible makes sets of both sides of these: in another order each run, and files would change."""
    places = (
        "roles/*/templates/**/*.j2",
        "roles/*/defaults/*.yml",
        "roles/*/vars/*.yml",
        "inventory/**/*.yml",
    )
    for path in (path for place in places for path in ROOT.glob(place)):
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.search(r"\|\s*(difference|symmetric_difference|intersect|union)\b", line):
                assert "length" in line, f"{path}: {line.strip()}: reject('in', …) keeps the order"


def test_whoever_stops_an_engine_waits_for_its_calls_first() -> None:
    """systemctl stops what patterns name one by one in any order, and a target before its lanes end."""
    for path in sorted(ROOT.glob("roles/*/tasks/*.yml")):
        stopped: list[str] = []
        for task in tasks(loaded(path)):
            asked = task.get("ansible.builtin.systemd_service") or {}
            assert not ("gpu@" in str(asked.get("name")) and asked.get("state") == "stopped"), path
            command = task.get("ansible.builtin.command")
            argv = list(command.get("argv") or ()) if isinstance(command, dict) else []
            if argv[:2] == ["systemctl", "stop"]:
                daemons = {re.split("[-@]", unit)[1] for unit in argv[2:]}
                assert daemons == {"connector"} or "connector" in stopped, f"{path}: {task['name']}"
                stopped += daemons
        assert not stopped or set(stopped) == {"connector", "gpu", "pipeline", "engine"}, path
