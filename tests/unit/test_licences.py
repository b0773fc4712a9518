"""docs/licences.md names every locked package and every model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-test.lock", "requirements-build.lock"])
def test_every_locked_package_is_listed(lock: str) -> None:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), flags=re.MULTILINE)
    page = (ROOT / "docs" / "licences.md").read_text()
    assert [pin for pin in pins if f"| {pin[0]} | {pin[1]} |" not in page] == [], "run `make licences`"


@pytest.mark.parametrize("manifest", ["starter.yml", "production.yml"])
def test_every_model_is_listed(manifest: str) -> None:
    page = (ROOT / "docs" / "licences.md").read_text()
    models = yaml.safe_load((ROOT / "models" / manifest).read_text())["models"]
    assert [name for name in models if f"| {name} |" not in page] == [], "run `make licences`"


def test_no_licence_is_unknown() -> None:
    assert "see its sources" not in (ROOT / "docs" / "licences.md").read_text()
