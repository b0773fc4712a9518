"""Every alert can fire, says how bad it is, and has its section in the runbook."""

from __future__ import annotations

import json
import re
import subprocess

import prometheus
import pytest

RUNBOOK = prometheus.ROOT / "docs" / "operations.md"
ALERTS = prometheus.alerts()


def section(alert: str) -> str:
    """What the runbook says of an alert."""
    _, _, text = RUNBOOK.read_text(encoding="utf-8").partition(f"\n### {alert}\n")
    return text.partition("\n### ")[0].strip()


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning", "none")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{alert.lower()}"
    # A heading with nothing under it helps nobody at three in the morning.
    assert len(section(alert)) > 60


def test_the_runbook_has_no_alert_that_is_gone() -> None:
    _, _, text = RUNBOOK.read_text(encoding="utf-8").partition("\n## Alerts\n")
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_asks_for_what_is_told(alert: str) -> None:
    assert prometheus.named(ALERTS[alert]["expr"]) - prometheus.known() == set()


def test_what_must_be_alarmed_on_is() -> None:
    source = (prometheus.ROOT / "src" / "tellerline" / "monitoring" / "metrics.py").read_text(
        encoding="utf-8"
    )
    wanted = re.findall(r'"(tellerline_\w+)",\s*"[^"]*alarm on any[^"]*"', source)
    assert len(wanted) >= 3
    asked = set().union(*(prometheus.named(rule["expr"]) for rule in ALERTS.values()))
    assert set(wanted) - asked == set()


def test_an_alert_on_labels_that_are_summed_away_names_none_of_them() -> None:
    for alert, rule in ALERTS.items():
        used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        by = re.search(r"^\s*(?:sum|max|min|avg) by \(([^)]*)\)", rule["expr"])
        if by:
            assert used <= {label.strip() for label in by[1].split(",")}, alert
        elif re.match(r"\s*\(?(?:sum|max|min)\s*\(", rule["expr"]):
            assert not used, alert


def test_prometheus_takes_the_rules() -> None:
    command = [prometheus.tool("promtool"), "check", "rules", *map(str, prometheus.RULES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
