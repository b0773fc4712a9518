#!/usr/bin/python3
"""Ansible module: units that run, and run on what their files say now."""

from __future__ import annotations

import os
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: systemd_units
short_description: Keep units running on their present files
description:
  - Starts what does not run, and restarts what runs since before one of its files was last written. That is
    what handlers do, but it does not depend on the same run having written the file, so a playbook that was
    killed half-way converges when it is run again.
  - Units are given in the order they start in. Where one has to be restarted, those after it are stopped
    first, so that a lane is drained before its pipeline goes.
options:
  units:
    description: The units, in the order they start in.
    required: true
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the unit.
        required: true
        type: str
      files:
        description: Files it reads when it starts. Of a symbolic link, when it was made counts.
        type: list
        elements: path
        default: []
      enabled:
        description: Whether it starts with the host; left as it is where this is not given.
        type: bool
author: Tellerline
"""

EXAMPLES = r"""
- name: Run lane 0-1 on its settings
  systemd_units:
    units:
      - {name: tellerline-pipeline@0-1.service, files: [/etc/tellerline/pipeline@0-1.yml]}
      - {name: tellerline-connector@0-1.service, files: [/etc/tellerline/connector@0-1.yml]}
"""

RETURN = r"""
started:
  description: Units that were started, restarted ones included.
  returned: always
  type: list
stopped:
  description: Units that were stopped for it.
  returned: always
  type: list
"""

_RUNNING = ("active", "reloading")
_PROPERTIES = (
    "ActiveState",
    "ExecMainStartTimestampMonotonic",
    "NeedDaemonReload",
    "FragmentPath",
    "DropInPaths",
    "UnitFileState",
)


class Failed(Exception):
    """systemctl's answer to what could not be done."""


def systemctl(*arguments: str) -> str:
    """Runs systemctl. Raises Failed."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"systemctl {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def shown(unit: str) -> dict[str, str]:
    """What systemd says of a unit that matters here, its files included."""
    lines = systemctl("show", f"--property={','.join(_PROPERTIES)}", unit).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def is_stale(properties: dict[str, str], files: list[str], now: tuple[float, float]) -> bool:
    """Whether one of `files`, or of the unit's own, was written since the unit started."""
    wall, monotonic = now
    if not (began := int(properties.get("ExecMainStartTimestampMonotonic") or 0)):
        # A target, or a unit that does not run.
        return False
    started = wall - monotonic + began / 1e6
    own = [properties["FragmentPath"], *properties["DropInPaths"].split()]
    return any(written(path) > started for path in (*files, *own) if path)


def written(path: str) -> float:
    """When `path` itself was last written; never, where it is not there."""
    try:
        return os.lstat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def plan(units: list[tuple[str, bool, bool]]) -> tuple[list[str], list[str]]:
    """What to stop and what to start, each in its order, for units of (name, runs, is stale)."""
    first = next((n for n, (_, runs, stale) in enumerate(units) if runs and stale), len(units))
    stop = [name for name, runs, _ in reversed(units[first:]) if runs]
    start = [name for n, (name, runs, _) in enumerate(units) if n >= first or not runs]
    return stop, start


def main() -> None:
    """Entry point of the module."""
    suboptions = {
        "name": {"type": "str", "required": True},
        "files": {"type": "list", "elements": "path", "default": []},
        "enabled": {"type": "bool"},
    }
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "dict", "required": True, "options": suboptions},
        },
        supports_check_mode=True,
    )
    units = module.params["units"]
    try:
        properties = {unit["name"]: shown(unit["name"]) for unit in units}
        reload = any(p["NeedDaemonReload"] == "yes" for p in properties.values())
        if reload and not module.check_mode:
            systemctl("daemon-reload")
            properties = {unit["name"]: shown(unit["name"]) for unit in units}
        now = time.time(), time.clock_gettime(time.CLOCK_MONOTONIC)
        seen = []
        for unit in units:
            said = properties[unit["name"]]
            runs = said["ActiveState"] in _RUNNING
            seen.append((unit["name"], runs, is_stale(said, unit["files"], now)))
        stop, start = plan(seen)
        switched = [
            ("enable" if unit["enabled"] else "disable", unit["name"])
            for unit in units
            if unit["enabled"] not in (None, properties[unit["name"]]["UnitFileState"] == "enabled")
        ]
        if not module.check_mode:
            for verb, name in switched:
                systemctl(verb, name)
            for name in stop:
                systemctl("stop", name)
            for name in start:
                run(name)
    except Failed as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(start or switched), stopped=stop, started=start)


def run(unit: str) -> None:
    """Starts a unit and waits until it is ready. Raises Failed with its last words."""
    subprocess.run(["systemctl", "reset-failed", unit], capture_output=True)
    try:
        systemctl("start", unit)
    except Failed as error:
        command = ["journalctl", "--unit", unit, "--lines", "15", "--output", "cat", "--no-pager"]
        words = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        raise Failed(f"{error}\nits last words:\n{words}") from error


if __name__ == "__main__":
    main()
