"""What a site's folder holds beside its inventory makes no hosts of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

_PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  become: false
  tasks:
    - ansible.builtin.debug:
        msg: "HOSTS={{ groups['all'] | sort | join(',') }} GROUPS={{ groups | sort | join(',') }}"
"""


@pytest.mark.parametrize("folder", ["backups/20261123T030000Z/data1", "pki/certificates/data1", "support"])
def test_backups_keys_and_bundles_for_support_are_no_hosts(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, folder: str
) -> None:
    site, playbook = tmp_path / "site", tmp_path / "look.yml"
    shutil.copytree(ROOT / "inventory" / "single-server", site)
    beside = site / folder
    beside.mkdir(parents=True)
    # A line of something encrypted, and what another reader would take for groups.
    (beside / "database.gpg").write_bytes(b"\x8c\r\x04\t\n8zQ\x1f\ngpu\n")
    (beside / "facts").write_text("stray1\n")
    (beside / "counts.yml").write_text("counted:\n  hosts:\n    stray2:\n")
    playbook.write_text(_PLAYBOOK)
    said = ansible_playbook(playbook, os.path.relpath(site, ROOT / "inventory"))
    assert said.returncode == 0, said.stdout + said.stderr
    [hosts] = re.findall(r"HOSTS=(\S+)", said.stdout)
    assert hosts == "teller1"
    assert "counted" not in said.stdout
