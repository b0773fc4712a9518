"""What Prometheus and Alertmanager of a booted host say."""

from __future__ import annotations

import json
from typing import Any

from hosts import Host

_ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"


def asked(host: Host, path: str, port: int = 9090) -> Any:
    """The JSON answer of a service on the host's loopback; None where it does not answer."""
    done = host.ssh("python3", "-c", _ASK, f"http://127.0.0.1:{port}{path}", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def targets(host: Host) -> dict[str, str]:
    """What Prometheus asks, as "job unit of host" → up, down or unknown."""
    answer = asked(host, "/api/v1/targets?state=active")
    return {
        f"{one['labels']['job']} {one['labels']['unit']} of {one['labels']['host']}": one["health"]
        for one in (answer["data"]["activeTargets"] if answer else [])
    }


def alerts(host: Host) -> set[str]:
    """Names of the alerts that have reached Alertmanager and last."""
    return {one["labels"]["alertname"] for one in asked(host, "/api/v2/alerts?active=true", 9093) or []}


def broken_rules(host: Host) -> dict[str, str]:
    """Rules Prometheus could not evaluate, with its reason."""
    answer = asked(host, "/api/v1/rules")
    return {
        rule["name"]: rule["lastError"]
        for group in answer["data"]["groups"]
        for rule in group["rules"]
        if rule.get("lastError")
    }


def main_process(host: Host, unit: str) -> str:
    """The main process of a unit that is active; "0" of one that is not."""
    asked = f"systemctl is-active -q {unit} && systemctl show -P MainPID {unit} || echo 0"
    return host.ssh(asked).stdout.strip()
