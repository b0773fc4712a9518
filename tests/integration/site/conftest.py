"""Playbooks of the checkout, run on its example sites without any host."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
_OWN = ROOT / ".venv-ansible" / "bin" / "ansible-playbook"

Run = Callable[..., subprocess.CompletedProcess[str]]


def _secrets() -> dict[str, str]:
    words = ("bank_token", "pki_passphrase", "backup_passphrase")
    words += tuple(f"db_{role}_password" for role in ("owner", "session", "banking"))
    words += tuple(f"redis_{role}_password" for role in ("session", "banking", "admin"))
    keys = {
        f"vault_{name}": base64.b64encode(os.urandom(32)).decode() for name in ("audit_key", "recording_key")
    }
    return {f"vault_{name}": os.urandom(16).hex() for name in words} | keys


@pytest.fixture
def ansible_playbook(tmp_path: Path) -> Run:
    """Runs a playbook of the checkout on one of its example sites, with secrets and a bundle made up."""
    given = os.environ.get("ANSIBLE_PLAYBOOK")
    command = given or (str(_OWN) if _OWN.exists() else shutil.which("ansible-playbook"))
    if command is None:
        pytest.skip("NO ansible-playbook here: `make ansible` makes one; the playbooks are not tried")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "MANIFEST.sha256").touch()
    secrets = tmp_path / "secrets.json"

    def run(playbook: Path, site: str | None, /, **variables: object) -> subprocess.CompletedProcess[str]:
        known: Mapping[str, Any] = {
            **_secrets(),
            "tellerline_bundle": str(bundle),
            "tellerline_bundle_key": "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
            **variables,
        }
        secrets.write_text(json.dumps(known), encoding="utf-8")
        inventories = ["-i", "inventory/hosts.yml"]
        if site is not None:
            inventories += ["-i", f"inventory/{site}"]
        return subprocess.run(
            [command, *inventories, str(playbook), "-e", f"@{secrets}"],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(tmp_path / "ansible")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    return run
