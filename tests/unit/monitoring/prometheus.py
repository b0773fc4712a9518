"""What these tests read: the rules, the dashboards, the daemons' metrics; and Prometheus' own tools."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import yaml

from tellerline.monitoring import metrics

ROOT = Path(__file__).resolve().parents[3]
RULES = sorted((ROOT / "roles" / "prometheus" / "files" / "rules").glob("*.yml"))
DASHBOARDS = sorted((ROOT / "roles" / "grafana" / "files" / "dashboards").glob("*.json"))
_UNPACKED = ROOT / "var" / "prometheus" / "usr" / "bin"
_NAMED = re.compile(r"\btellerline_[a-z0-9_]+")
# Ends of the time series a histogram, a counter or an enumeration has.
_ENDS = ("_bucket", "_sum", "_count", "_total", "")


def tool(name: str) -> str:
    """Path of promtool or amtool; the test is skipped where there is none."""
    found = shutil.which(name, path=f"{_UNPACKED}:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip(f"NO {name} here: alert rules are not tried (`scripts/machine run test` brings it)")
    return found


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert by its name; one name twice is an error."""
    found: dict[str, dict[str, Any]] = {}
    for path in RULES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                assert rule["alert"] not in found, f"{rule['alert']} is there twice"
                found[rule["alert"]] = rule
    return found


def panels() -> dict[str, str]:
    """Every query of every dashboard, by where it stands."""
    return {
        f"{path.stem}: {panel['title']}: {target['refId']}": target["expr"]
        for path in DASHBOARDS
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
        for target in panel["targets"]
    }


def known() -> set[str]:
    """Every time series a daemon of ours, or the hosts' own script, tells."""
    assert metrics.CONNECTOR_CALLS
    families = {family.name for family in prometheus_client.REGISTRY.collect()}
    script = (ROOT / "roles" / "node_exporter" / "files" / "host_metrics.py").read_text(encoding="utf-8")
    own = {name for name in families if name.startswith("tellerline_")}
    return {name + end for name in own for end in _ENDS} | set(
        re.findall(r'"(tellerline_[a-z0-9_]+)":', script)
    )


def named(query: str) -> set[str]:
    """The series of ours a query names, labels aside: an enumeration's label has its name."""
    return set(_NAMED.findall(re.sub(r"\{[^}]*\}", "", query)))
