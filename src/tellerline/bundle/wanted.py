"""Which Debian packages the roles install: read from the roles, so that no second list can be wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tellerline.errors import BundleError

_APT = ("ansible.builtin.apt", "apt")
_BLOCKS = ("block", "rescue", "always")
_VARIABLE = re.compile(r"^\{\{\s*(\w+)\s*\}\}$")


class _Tags(yaml.SafeLoader):
    """YAML with Ansible's own tags (!vault, !unsafe), whose values say nothing here."""


_Tags.add_multi_constructor("!", lambda loader, suffix, node: None)


def _load(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Tags)
    except (OSError, yaml.YAMLError) as error:
        raise BundleError(f"bundle: {path} cannot be read: {error}") from error


def packages(roles: Path) -> dict[str, tuple[str, ...]]:
    """Role → the Debian packages that its `ansible.builtin.apt` tasks install.

    Names stand there literally, or as a list variable of the role's defaults or vars. Raises BundleError
    for anything else: a package that cannot be found here would be missing at the bank.
    """
    wanted: dict[str, tuple[str, ...]] = {}
    for role in sorted(path for path in roles.iterdir() if (path / "tasks").is_dir()):
        variables = _variables(role)
        named: set[str] = set()
        for path in sorted((*role.glob("tasks/**/*.yml"), *role.glob("handlers/**/*.yml"))):
            for task in _tasks(_load(path) or []):
                named.update(_names(task, variables, path))
        if named:
            wanted[role.name] = tuple(sorted(named))
    return wanted


def _variables(role: Path) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    for name in ("defaults/main.yml", "vars/main.yml"):
        if (role / name).is_file():
            variables.update(_load(role / name) or {})
    return variables


def _tasks(tasks: Any) -> Iterator[dict[str, Any]]:
    for task in tasks:
        yield task
        for block in _BLOCKS:
            yield from _tasks(task.get(block) or [])


def _names(task: dict[str, Any], variables: dict[str, Any], path: Path) -> Iterator[str]:
    for module in _APT:
        arguments = task.get(module)
        if not isinstance(arguments, dict) or arguments.get("state") == "absent":
            continue
        named = arguments.get("name", arguments.get("pkg", arguments.get("package", [])))
        yield from _resolve(named, variables, path)


def _resolve(named: Any, variables: dict[str, Any], path: Path) -> Iterator[str]:
    if isinstance(named, list):
        for each in named:
            yield from _resolve(each, variables, path)
        return
    variable = _VARIABLE.match(str(named))
    if variable:
        value = variables.get(variable[1])
        if value is None or isinstance(value, str):
            raise BundleError(
                f"bundle: {path}: {named} is no list in the role's defaults/main.yml or vars/main.yml; "
                "the bundle's builder reads Debian packages there"
            )
        yield from _resolve(value, variables, path)
    elif "{{" in str(named) or "{%" in str(named):
        raise BundleError(f"bundle: {path}: {named}: name Debian packages literally or by one list variable")
    else:
        yield from (name.strip() for name in str(named).split(",") if name.strip())
