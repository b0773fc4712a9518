"""What is wrong with an inventory, in words: each fault alone, in a site that is good otherwise."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
KEY = base64.b64encode(bytes(range(32))).decode()
PASSWORD = "correcthorsebatterystaple"

Plugin = Callable[[str], ModuleType]
Site = dict[str, dict[str, Any]]
Groups = dict[str, list[str]]


class Checked:
    """A good site of one host, its faults to be put in."""

    def __init__(self, plugin: Plugin, bundle: Path) -> None:
        self._problems = plugin("filter/tellerline_site").problems
        lanes = plugin("filter/tellerline")
        self._engines, self._lanes = lanes.engines, lanes.lanes
        trunk = {"name": "carrier", "addresses": ["198.51.100.0/28"], "tls": True, "srtp": True, "calls": 4}
        trunk["names"] = ["sbc.carrier.example"]
        secrets = {f"vault_{name}": PASSWORD for name in self._passwords(plugin)}
        self.site: Site = {
            "teller1": {
                "tellerline_address": "192.0.2.10",
                "tellerline_gpus": ["cpu"],
                "tellerline_lanes": 1,
                "tellerline_host_lanes": [],
                "tellerline_language": "en",
                "tellerline_numbers": {"908501234567": "tr"},
                "tellerline_transfer_target": "sip:agents@198.51.100.20",
                "tellerline_further_targets": [],
                "tellerline_trunks": [trunk],
                "tellerline_virtual_address": "",
                "tellerline_bank_url": "https://core.bank.example/tellerline/v1",
                "tellerline_database_dsn_hosts": ["192.0.2.10"],
                "tellerline_redis_url": "rediss://192.0.2.10:6379/0",
                "tellerline_redis_sentinels": [],
                "tellerline_redis_sentinel_name": "",
                "tellerline_bundle": str(bundle),
                "tellerline_bundle_key": "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
                "vault_audit_key": KEY,
                "vault_recording_key": KEY,
                **secrets,
            }
        }
        every = ["all", "edge", "gpu", "data", "monitoring"]
        self.groups: Groups = {"sandbox_bank": [], **{name: ["teller1"] for name in every}}

    @staticmethod
    def _passwords(plugin: Plugin) -> list[str]:
        return [name.removeprefix("vault_") for name in plugin("filter/tellerline_site").PASSWORDS]

    def another(self, host: str, groups: list[str], **variables: Any) -> None:
        self.site[host] = {**self.site["teller1"], **variables}
        for name in ("all", *groups):
            self.groups[name].append(host)

    def problems(self) -> list[str]:
        for host in self.site.values():
            # As Ansible: worked out when asked for, so not of what was found to be wrong before.
            with contextlib.suppress(ValueError):
                host["tellerline_host_engines"] = self._engines(host["tellerline_gpus"])
                if "tellerline_host_lanes" in host:
                    lanes = self._lanes(host["tellerline_gpus"], host["tellerline_lanes"])
                    host["tellerline_host_lanes"] = lanes
        found: list[str] = self._problems(self.site, self.groups, str(ROOT))
        return found


@pytest.fixture
def checked(plugin: Plugin, tmp_path: Path) -> Checked:
    (tmp_path / "MANIFEST.sha256").touch()
    return Checked(plugin, tmp_path)


def test_a_good_site_has_no_problems(checked: Checked) -> None:
    assert checked.problems() == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("tellerline_address", "teller1.bank.example", "no IP address"),
        ("tellerline_gpus", ["cpu", 0], r"\[cpu\], or indices"),
        ("tellerline_gpus", [0, 0], "each once"),
        ("tellerline_gpus", "cpu", r"\[cpu\], or indices"),
        ("tellerline_lanes", 17, "1 to 16"),
        ("tellerline_language", "de", "en or tr"),
        ("tellerline_numbers", {908501234567: "tr"}, "quotes"),
        ("tellerline_transfer_target", "agents", "no SIP URI"),
        ("tellerline_trunks", [{"name": "carrier", "calls": 4}], "addresses is missing"),
        ("tellerline_trunks", [{"name": "c", "addresses": ["192.0.2.1"], "calls": 4, "tls": True}], "names"),
        ("tellerline_trunks", {"carrier": {}}, "give a list"),
        (
            "tellerline_trunks",
            [{"name": "carrier", "addresses": ["198.51.100.1"], "srtp": True, "calls": 4}],
            "keys in clear",
        ),
        ("tellerline_trunks", [{"name": "c", "addresses": ["carrier"], "calls": 4}], "neither an IP address"),
        ("tellerline_virtual_address", "192.0.2.10", "teller1's own"),
        ("tellerline_bank_url", "", "is not set"),
        ("tellerline_bank_url", "http://core.bank.example/", "PINs go there"),
        ("tellerline_database_dsn_hosts", "db1", "give a list"),
        ("tellerline_redis_url", "192.0.2.10:6379", "rediss://"),
        ("tellerline_redis_sentinels", ["192.0.2.10:26379"], "sentinel_name"),
        ("tellerline_bundle", "/nowhere", "no MANIFEST.sha256"),
        ("tellerline_bundle_key", "", "minisign.pub"),
        ("tellerline_lane", 3, "did you mean tellerline_lanes"),
    ],
)
def test_one_fault_is_one_problem(checked: Checked, variable: str, value: Any, said: str) -> None:
    checked.site["teller1"][variable] = value
    found = checked.problems()
    assert len(found) == 1
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(found[0])


@pytest.mark.parametrize("name", ["vault_audit_key", "vault_redis_admin_password"])
def test_a_bad_secret_is_named_and_not_shown(checked: Checked, name: str) -> None:
    checked.site["teller1"][name] = "s3cret word"
    [found] = checked.problems()
    assert name in found
    assert "s3cret" not in found


def test_secrets_that_are_missing_are_named_once(checked: Checked) -> None:
    del checked.site["teller1"]["vault_audit_key"], checked.site["teller1"]["vault_bank_token"]
    [found] = checked.problems()
    assert "vault_audit_key, vault_bank_token" in found
    assert "playbooks/vault.yml" in found


def test_every_fault_is_said_at_once(checked: Checked) -> None:
    checked.site["teller1"].update(tellerline_language="de", tellerline_bundle_key="")
    assert len(checked.problems()) == 2


def test_hosts_need_addresses_of_their_own(checked: Checked) -> None:
    checked.another("gpu2", ["gpu"])
    [found] = checked.problems()
    assert "same tellerline_address" in found


def test_two_edges_need_an_address_they_share(checked: Checked) -> None:
    checked.another("edge2", ["edge"], tellerline_address="192.0.2.12")
    [found] = checked.problems()
    assert "tellerline_virtual_address" in found


def test_eight_gpus_of_many_lanes_would_share_ports(checked: Checked) -> None:
    checked.site["teller1"].update(tellerline_gpus=list(range(8)), tellerline_lanes=5)
    assert any("port 9600" in problem for problem in checked.problems())
    checked.site["teller1"].update(tellerline_lanes=3)
    assert checked.problems() == []


def test_groups_that_answer_no_call_are_named(checked: Checked) -> None:
    checked.groups.update(gpu=[], edge=[])
    assert [problem.split()[:2] for problem in checked.problems()] == [
        ["group", "gpu"],
        ["tellerline_trunks", "are"],
    ]


def test_defaults_and_hosts_that_were_forgotten(checked: Checked) -> None:
    del checked.site["teller1"]["tellerline_host_lanes"]
    [found] = checked.problems()
    assert "-i inventory/hosts.yml" in found
    checked.groups["all"] = []
    [found] = checked.problems()
    assert "no hosts" in found
