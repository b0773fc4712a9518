"""Dashboards show what is told, and are what scripts/dashboards.py writes."""

from __future__ import annotations

import importlib.util
import sys

import prometheus
import pytest

PANELS = prometheus.panels()


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_shows_what_is_told(panel: str) -> None:
    assert prometheus.named(PANELS[panel]) - prometheus.known() == set()


def test_the_files_are_those_of_the_script() -> None:
    path = prometheus.ROOT / "scripts" / "dashboards.py"
    spec = importlib.util.spec_from_file_location("dashboards", path)
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    sys.modules["dashboards"] = script
    spec.loader.exec_module(script)
    written = {file.stem: file.read_text(encoding="utf-8") for file in prometheus.DASHBOARDS}
    assert {name: script.dashboard(name) for name in script.DASHBOARDS} == written


def test_the_role_copies_every_dashboard() -> None:
    task = (prometheus.ROOT / "roles" / "grafana" / "tasks" / "install.yml").read_text(encoding="utf-8")
    assert all(file.stem in task for file in prometheus.DASHBOARDS)
