"""What is wrong with an inventory, in words: each fault alone, in a site that is good otherwise."""

from __future__ import annotations

import base64
import contextlib
import json
import re
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
        # One after the other, as roles/validate/tasks/main.yml.
        self._shapes = plugin("filter/tellerline_shapes").problems
        files = ("site", "edge", "services", "network")
        self._judges = [plugin(f"filter/tellerline_{name}").problems for name in files]
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
                "tellerline_operators": ["10.0.0.0/8"],
                "tellerline_names": {"core.bank.example": ["10.20.0.5"]},
                "tellerline_dns_servers": [],
                "tellerline_ntp_servers": ["10.20.0.6"],
                "tellerline_provider_servers": [],
                "tellerline_further_flows": [],
                "tellerline_version": "0.1.0",
                "tellerline_bundle": str(bundle),
                "pki_authority": "internal",
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
            with contextlib.suppress(ValueError, TypeError):
                host["tellerline_host_engines"] = self._engines(host["tellerline_gpus"])
                if "tellerline_host_lanes" in host:
                    lanes = self._lanes(host["tellerline_gpus"], host["tellerline_lanes"])
                    host["tellerline_host_lanes"] = lanes
        known = self.groups["all"] and "tellerline_host_lanes" in self.site[self.groups["all"][0]]
        if known and (shapes := self._shapes(self.site, self.groups, str(ROOT))):
            return list(shapes)
        return [found for judge in self._judges for found in judge(self.site, self.groups)]


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
        ("tellerline_gpus", "cpu", "give a list"),
        ("tellerline_gpus", 2, "give a list"),
        ("tellerline_gpus", [0, 15], r"\[cpu\], or indices"),
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
        ("tellerline_redis_sentinels", "192.0.2.10:26379", "give a list"),
        ("tellerline_bundle", "/nowhere", "no MANIFEST.sha256"),
        ("tellerline_bundle_key", "", "minisign.pub"),
        ("tellerline_bundle_key", "RWQ", "no key"),
        ("tellerline_lane", 3, "did you mean tellerline_lanes"),
        ("rsyslog_siem_hots", "10.1.1.1", "did you mean rsyslog_siem_host"),
        ("opensips_overflow", "drop", "refuse, redirect, queue"),
        ("opensips_overflow", "redirect", "no SIP URI"),
        ("opensips_announcement", "/nowhere.wav", "no file /nowhere.wav"),
        ("tellerline_language", ["en"], "one word"),
        ("tellerline_recording", "perhaps", "true or false"),
        ("tellerline_recording", "no", "without quotes"),
        (
            "tellerline_trunks",
            [{"name": "c", "addresses": ["192.0.2.1"], "calls": 4, "tls": "no"}],
            "without quotes",
        ),
        ("tellerline_calls_days", "long", "a whole number"),
        ("tellerline_calls_days", 0, "one day or more"),
        ("tellerline_trunks", None, "give a list"),
        ("tellerline_trunks", [], "nobody could call"),
        (
            "tellerline_trunks",
            [{"name": "c", "addresses": "192.0.2.1", "calls": 4}],
            "addresses is '192.0.2.1'",
        ),
        ("tellerline_trunks", [{"name": "c", "adresses": [], "calls": 4}], "did you mean addresses"),
        ("tellerline_trunks", [{"name": "c", "addresses": ["192.0.2.1"], "calls": "many"}], "whole number"),
        ("tellerline_trunks", [{"name": "c d", "addresses": ["192.0.2.1"], "calls": 4}], "letters, digits"),
        ("tellerline_trunks", [{"name": "c", "addresses": ["2001:db8::1"], "calls": 4}], "IPv6"),
        (
            "tellerline_trunks",
            [{"name": "c", "addresses": ["192.0.2.9/28"], "calls": 4}],
            "did you mean 192.0.2.0/28",
        ),
        (
            "tellerline_trunks",
            [{"name": name, "addresses": ["198.51.100.1"], "calls": 4} for name in ("one", "two")],
            "of one and of two",
        ),
        ("tellerline_numbers", ["908501234567"], "give a mapping"),
        ("tellerline_numbers", {"+90 850": "tr"}, "no user part"),
        ("tellerline_further_targets", "sip:a@192.0.2.1", "give a list"),
        ("tellerline_virtual_address", "2001:db8::9", "IPv6"),
        ("tellerline_trunk_address", "eth1", "no IP address"),
        ("tellerline_bank_url", "https://other.bank.example/", "put it into tellerline_names"),
        ("tellerline_bank_url", "https://core.bank.example:port/", "Port"),
        ("tellerline_bank_authority", "/nowhere.pem", "no file /nowhere.pem"),
        ("tellerline_database_dsn_hosts", ["db1.bank.example"], "put it into tellerline_names"),
        ("tellerline_database_dsn_hosts", ["192.0.2.50:6432"], 'tellerline_database_options: "port=6432"'),
        ("tellerline_redis_url", "redis://192.0.2.50:6379/0", "give rediss://"),
        ("tellerline_operators", [], "nobody could log in"),
        ("tellerline_operators", ["10.0.0.0/33"], "neither an IP address nor a network"),
        ("tellerline_names", {"core.bank.example": "10.20.0.5"}, "as a list"),
        ("tellerline_names", {"core.bank.example": ["10.20.0"]}, "no IP address"),
        ("tellerline_ntp_servers", ["ntp.bank.example"], "put it into tellerline_names"),
        ("tellerline_provider_servers", ["10.9.9.9:8000"], "give a mapping"),
        (
            "tellerline_further_flows",
            [{"name": "x", "from": "gpus", "to": "data", "protocol": "tcp", "ports": ["1"]}],
            "gpus is nobody",
        ),
        ("rsyslog_siem_host", "10.1.1.1", "rsyslog_siem_authority"),
        ("alertmanager_webhook_url", "pager.bank.example/hook", "no address of the web"),
        ("prometheus_listen", "9090", "address and port"),
        ("banking_client_key", __file__, "together"),
        ("pki_authority", "internl", "internal, bank"),
        ("lane_openai", {"base_url": "https://10.9.9.9:8000/v1", "chat_model": "m"}, "vault_openai_key"),
    ],
)
def test_one_fault_is_one_problem(checked: Checked, variable: str, value: Any, said: str) -> None:
    checked.site["teller1"][variable] = value
    if variable == "lane_openai":
        checked.site["teller1"]["tellerline_provider_servers"] = [{"host": "10.9.9.9", "port": 8000}]
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
    checked.groups.update(gpu=[], data=[])
    assert [problem.split()[:2] for problem in checked.problems()] == [["group", "gpu"], ["group", "data"]]


def test_without_edges_the_banks_own_border_controllers_are_the_trunks(checked: Checked) -> None:
    checked.groups["edge"] = []
    assert checked.problems() == []
    checked.site["teller1"]["tellerline_trunks"] = []
    [found] = checked.problems()
    assert "session border controllers" in found


def test_a_host_in_no_group_is_named_with_the_group_it_was_meant_for(checked: Checked) -> None:
    checked.another("gpu2", [], tellerline_address="192.0.2.22")
    checked.groups["gpus"] = ["gpu2"]
    [found] = checked.problems()
    assert found.startswith("gpu2 is in none of the groups")
    assert "did you mean gpu instead of gpus" in found


def test_lanes_need_addresses_the_edge_can_tell_apart(checked: Checked) -> None:
    checked.another("gpu2", ["gpu"], tellerline_address="198.51.2.10")
    [found] = checked.problems()
    assert "gpu2 and teller1" in found


def test_a_cluster_has_to_be_let_out_to(checked: Checked) -> None:
    cluster = {"base_url": "https://10.9.9.9:8000/v1", "chat_model": "bank-70b"}
    checked.site["teller1"].update(lane_openai=cluster, vault_openai_key="word")
    [found] = checked.problems()
    assert "{host: 10.9.9.9, port: 8000} into tellerline_provider_servers" in found
    checked.site["teller1"]["tellerline_provider_servers"] = [{"host": "10.9.9.9", "port": 8000}]
    assert checked.problems() == []


def test_mail_needs_all_of_relay_sender_and_receiver(checked: Checked) -> None:
    checked.site["teller1"]["alertmanager_smtp_smarthost"] = "10.1.1.2"
    port, sender, receiver = checked.problems()
    assert "mail.bank.example:587" in port
    assert "alertmanager_smtp_from" in sender
    assert "alertmanager_mail_critical" in receiver


def test_a_secret_part_of_an_address_is_not_shown(checked: Checked) -> None:
    checked.site["teller1"]["alertmanager_webhook_url"] = "tickets/hook?key=s3cret"
    [found] = checked.problems()
    assert "s3cret" not in found


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"version": "0.2.0", "cuda": True}, "holds 0.2.0"),
        ({"version": "0.1.0", "cuda": True, "missing": ["opensips"]}, "made without opensips"),
        ({"version": "0.1.0", "cuda": False}, "made without CUDA"),
    ],
)
def test_a_bundle_lacks_what_the_site_needs(checked: Checked, about: dict[str, Any], said: str) -> None:
    checked.site["teller1"]["tellerline_gpus"] = [0, 1]
    Path(checked.site["teller1"]["tellerline_bundle"], "bundle.json").write_text(json.dumps(about))
    [found] = checked.problems()
    assert said in found


def test_a_model_on_the_processors_beside_gpus_has_to_be_meant(checked: Checked) -> None:
    host = checked.site["teller1"]
    host.update(tellerline_gpus=[0], engine_settings={"language_model": {"gpu_layers": 0}})
    about = {"version": "0.1.0", "cuda": False}
    Path(host["tellerline_bundle"], "bundle.json").write_text(json.dumps(about))
    assert checked.problems() == []


def test_flows_speak_of_the_lists_that_the_firewall_has(plugin: Plugin) -> None:
    written = (ROOT / "roles/nftables/vars/main.yml").read_text()
    given = written.partition("nftables_networks_given:")[2].partition("nftables_networks:")[0]
    assert (
        set(re.findall(r"^    '(\w+)':", given, re.MULTILINE)) == plugin("filter/tellerline_network").NETWORKS
    )


def test_values_that_ansible_cannot_work_out_are_named(checked: Checked) -> None:
    class Lazy(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            if name in ("alertmanager_smtp_password", "tellerline_redis_url"):
                raise KeyError("'vault_smtp' is undefined")
            return super().__getitem__(name)

    host = {**checked.site["teller1"], "alertmanager_smtp_password": "{{ vault_smtp }}"}
    checked.site["teller1"] = Lazy(host)
    # The address of Redis is a default, worked out of other hosts' variables: no fault of the site's.
    [found] = checked.problems()
    assert found.startswith("alertmanager_smtp_password: cannot be worked out")


def test_defaults_and_hosts_that_were_forgotten(checked: Checked) -> None:
    del checked.site["teller1"]["tellerline_host_lanes"]
    [found] = checked.problems()
    assert "-i inventory/hosts.yml" in found
    checked.groups["all"] = []
    [found] = checked.problems()
    assert "no hosts" in found
