"""Runs a command in the very sandbox of a unit of a booted host: the unit's own file, another command."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from hosts import Host, HostsError

_TELLERLINE = "/opt/tellerline/current/venv/bin/tellerline"
# What a unit is, apart from what it may do.
_NOT_SANDBOX = [
    "Type",
    "NotifyAccess",
    "WatchdogSec",
    "Restart",
    "RestartSec",
    "ExecReload",
    "ExecStart",
    "ExecStartPre",
    "ExecStop",
    "KillMode",
    "RuntimeDirectory",
    "RuntimeDirectoryMode",
    "StateDirectory",
    "CacheDirectory",
    "TimeoutStartSec",
]


def in_sandbox(host: Host, unit: str, *command: str, **changed: str) -> str:
    """What `command` prints as the unit's user inside its sandbox; `changed` are settings that are otherwise.

    The unit as systemd has it, drop-ins included, less what starts and watches it.
    """
    name = "tellerline-sandbox-probe.service"
    text = host.ssh("systemctl", "cat", unit).stdout
    instance = unit.partition("@")[2].removesuffix(".service")
    service = text.replace("\\\n", " ").replace("%i", instance)
    kept = [
        line
        for line in re.findall(r"^(?!Assert|Condition|PartOf|OnFailure|StartLimit)\w+=.*$", service, re.M)
        if line.partition("=")[0] not in (*_NOT_SANDBOX, "Description", "After", "Wants", "WantedBy")
    ]
    made = "\n".join(
        [
            "[Service]",
            "Type=oneshot",
            *kept,
            f"CacheDirectory={name}",
            f"StandardOutput=file:/run/{name}.out",
            f"StandardError=file:/run/{name}.err",
            f"ExecStart={shlex.join(command)}",
            *(f"{key}={value}" for key, value in changed.items()),
            "",
        ]
    )
    host.ssh(f"rm -f /run/{name}.*; cat > /run/systemd/system/{name}; systemctl daemon-reload", input=made)
    try:
        done = host.ssh("systemctl", "start", name, check=False)
        if done.returncode:
            said = host.ssh("cat", f"/run/{name}.err", check=False).stdout
            raise HostsError(f"{command[0]} failed in the sandbox of {unit}:\n{said}")
        return host.ssh("cat", f"/run/{name}.out").stdout
    finally:
        gone = f"rm -f /run/systemd/system/{name} /run/{name}.*"
        host.ssh(f"{gone}; systemctl daemon-reload; systemctl reset-failed {name}", check=False)


def model_answers(host: Host, unit: str, **changed: str) -> Mapping[str, Any]:
    """What the engine's models answer inside its sandbox."""
    return json.loads(in_sandbox(host, unit, *_asking(unit), **changed))


def model_answers_outside(host: Host, unit: str) -> Mapping[str, Any]:
    """What they answer without any sandbox."""
    return json.loads(host.ssh(*_asking(unit)).stdout)


def _asking(unit: str) -> tuple[str, ...]:
    instance = unit.partition("@")[2].removesuffix(".service")
    phrases = ("greeting", "goodbye", "menu")
    sounds = (f"/var/lib/tellerline/phrases/en/{phrase}.wav" for phrase in phrases)
    return (_TELLERLINE, "models", "ask", "--config", f"/etc/tellerline/engine@{instance}.yml", *sounds)
