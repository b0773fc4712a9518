"""The plugins of the playbooks, imported as Ansible imports them: by their path."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports plugins/<name>.py. Ansible itself is not needed for what is tested here."""
    basic = types.ModuleType("ansible.module_utils.basic")
    basic.AnsibleModule = object  # type: ignore[attr-defined]
    for name in ("ansible", "ansible.module_utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "ansible.module_utils.basic", basic)

    def load(name: str) -> ModuleType:
        path = PLUGINS / f"{name}.py"
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
