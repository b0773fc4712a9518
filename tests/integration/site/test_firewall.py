"""What a growing site says of its network reaches the firewall of the hosts that need it, and no other's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
PLAYBOOK = Path(__file__).with_name("render_firewall.yml")

# Everything docs/inventory.md names under "Growing".
GROWN = {
    "tellerline_database_dsn_hosts": ["db1.bank.example", "db2.bank.example"],
    "tellerline_database_options": "port=6432",
    "tellerline_redis_sentinels": ["10.20.0.21:26379", "10.20.0.22:26379"],
    "tellerline_redis_sentinel_name": "tellerline",
    "tellerline_provider_servers": [{"host": "models.bank.example", "port": 8000}],
    "tellerline_names": {
        "db1.bank.example": ["10.20.0.11"],
        "db2.bank.example": ["10.20.0.12"],
        "models.bank.example": ["10.20.0.31"],
    },
}


def rules(folder: Path, host: str) -> dict[str, str]:
    """Comment of each rule of a host → the rule; both directions of one flow in one text."""
    found: dict[str, str] = {}
    for line in (folder / f"{host}.nft").read_text().splitlines():
        if named := re.search(r'comment "(\w+)"', line):
            found[named[1]] = found.get(named[1], "") + line.strip() + "\n"
    return found


def test_what_a_site_grows_by_is_let_out_to(ansible_playbook: Run, tmp_path: Path) -> None:
    done = ansible_playbook(PLAYBOOK, "example-bank", rendered=str(tmp_path), **GROWN)
    assert done.returncode == 0, done.stdout + done.stderr
    data, lanes, edge = (rules(tmp_path, host) for host in ("data1", "gpu1", "edge1"))
    assert "{ 10.20.0.11, 10.20.0.12 } tcp dport { 6432 }" in data["postgresql_elsewhere"]
    assert "{ 10.20.0.21, 10.20.0.22 }" in data["redis_elsewhere"]
    assert "26379" in data["redis_elsewhere"]
    assert "{ 10.20.0.31 } tcp dport { 8000 }" in lanes["providers"]
    assert "providers" not in data | edge
    assert "postgresql_elsewhere" not in lanes | edge


def test_edges_hear_each_other_on_the_trunks_network(ansible_playbook: Run, tmp_path: Path) -> None:
    """keepalived speaks from there: unheard, both edges would take the address they share."""
    given = "{'edge1': '198.51.100.2', 'edge2': '198.51.100.3'}[inventory_hostname]"
    trunk = f"{{{{ {given} | default(tellerline_address) }}}}"
    done = ansible_playbook(PLAYBOOK, "example-bank", rendered=str(tmp_path), tellerline_trunk_address=trunk)
    assert done.returncode == 0, done.stdout + done.stderr
    for host in ("edge1", "edge2"):
        heard = [line for line in rules(tmp_path, host)["vrrp"].splitlines() if "saddr" in line]
        assert "198.51.100.2" in heard[0]
        assert "198.51.100.3" in heard[0]


def test_nftables_takes_what_each_host_is_given(ansible_playbook: Run, tmp_path: Path) -> None:
    nft = shutil.which("nft", path="/usr/sbin:/usr/bin")
    if nft is None or os.geteuid() != 0:
        pytest.skip("NO nft here, or not root: the firewall's rules are not tried")
    done = ansible_playbook(PLAYBOOK, "example-bank", rendered=str(tmp_path), **GROWN)
    assert done.returncode == 0, done.stdout + done.stderr
    for file in sorted(tmp_path.glob("*.nft")):
        checked = subprocess.run([nft, "--check", "--file", file], capture_output=True, text=True)
        assert checked.returncode == 0, f"{file.name}: {checked.stderr}"
