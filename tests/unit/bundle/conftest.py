"""A small bundle, signed by a real minisign, and the role's modules, imported as Ansible imports them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from small_bundle import CONTENT, VERSION, Signed

from tellerline.bundle import checksums

ROLE = Path(__file__).resolve().parents[3] / "roles" / "release"


@pytest.fixture(scope="session")
def minisign_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A secret key without a password; its public key is beside it."""
    key = tmp_path_factory.mktemp("keys") / "builder.key"
    command = ["minisign", "-G", "-W", "-s", key, "-p", key.with_suffix(".pub")]
    subprocess.run(command, check=True, capture_output=True)
    return key


@pytest.fixture
def signed(tmp_path: Path, minisign_key: Path) -> Signed:
    """A bundle with one file of every kind."""
    folder = tmp_path / f"tellerline-{VERSION}"
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    public = minisign_key.with_suffix(".pub").read_text()
    (folder / "minisign.pub").write_text(public)
    checksums.write(folder)
    checksums.sign(folder, minisign_key, VERSION)
    return Signed(folder, public.splitlines()[1])


@pytest.fixture
def verification() -> ModuleType:
    """What control nodes and hosts verify with."""
    return _imported(ROLE / "module_utils" / "tellerline_bundle.py")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, verification: ModuleType) -> Callable[[str], ModuleType]:
    """Imports a module of the role. Ansible itself is not needed for what is tested here."""
    basic = types.ModuleType("ansible.module_utils.basic")
    basic.AnsibleModule = object  # type: ignore[attr-defined]
    for name in ("ansible", "ansible.module_utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "ansible.module_utils.basic", basic)
    monkeypatch.setitem(sys.modules, "ansible.module_utils.tellerline_bundle", verification)
    return lambda name: _imported(ROLE / "library" / f"{name}.py")


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
