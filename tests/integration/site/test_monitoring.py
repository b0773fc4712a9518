"""What the monitoring hosts of the example sites would be given: every daemon of the inventory is asked."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = Path(__file__).with_name("render_monitoring.yml")
_UNPACKED = ROOT / "var" / "prometheus" / "usr" / "bin"

EVERYTHING = {
    "alertmanager_smtp_smarthost": "mail.bank.example:587",
    "alertmanager_smtp_from": "tellerline@bank.example",
    "alertmanager_smtp_user": "tellerline",
    "alertmanager_smtp_password": 'word with "quotes"',
    "alertmanager_mail_critical": ["duty@bank.example", "it@bank.example"],
    "alertmanager_webhook_url": "https://tickets.bank.example/hook?key=1",
    "alertmanager_watchdog_url": "https://watch.bank.example/",
    "rsyslog_siem_host": "siem.bank.example",
}


def targets(rendered: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Job → (host, unit, address) of each target."""
    read: Any = yaml.safe_load((rendered / "prometheus.yml").read_text())
    return {
        job["job_name"]: [
            (one["labels"]["host"], one["labels"]["unit"], one["targets"][0]) for one in job["static_configs"]
        ]
        for job in read["scrape_configs"]
    }


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{_UNPACKED}:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip(
            f"NO {name} here: what Prometheus is given is not tried (`scripts/machine run test` brings it)"
        )
    return found


def test_every_daemon_of_the_example_bank_is_asked(ansible_playbook: Run, tmp_path: Path) -> None:
    done = ansible_playbook(PLAYBOOK, "example-bank", rendered=str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = targets(tmp_path / "out")
    assert len(jobs["engine"]) == 4
    assert len(jobs["connector"]) == len(jobs["pipeline"]) == 12
    assert ("gpu2", "tellerline-engine@1", "192.0.2.22:9401") in jobs["engine"]
    assert ("gpu1", "tellerline-connector@1-2", "192.0.2.21:9518") in jobs["connector"]
    assert ("gpu1", "tellerline-pipeline@0-0", "192.0.2.21:9600") in jobs["pipeline"]
    assert jobs["session"] == [("data1", "tellerline-session", "192.0.2.31:9380")]
    assert [host for host, _, _ in jobs["opensips"]] == ["edge1", "edge2"]
    # A host in two groups is asked once.
    assert [host for host, _, _ in jobs["host"]] == ["edge1", "edge2", "gpu1", "gpu2", "data1", "monitoring1"]
    addresses = [address for job in jobs.values() for _, _, address in job]
    assert len(addresses) == len(set(addresses))


def test_a_single_server_asks_itself(ansible_playbook: Run, tmp_path: Path) -> None:
    done = ansible_playbook(PLAYBOOK, "single-server", rendered=str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {host for job in targets(tmp_path / "out").values() for host, _, _ in job} == {"teller1"}


@pytest.mark.parametrize("given", [{}, EVERYTHING], ids=["nothing", "everything"])
def test_prometheus_and_alertmanager_take_what_they_are_given(
    ansible_playbook: Run, tmp_path: Path, given: dict[str, Any]
) -> None:
    promtool, amtool = tool("promtool"), tool("amtool")
    done = ansible_playbook(PLAYBOOK, "example-bank", rendered=str(tmp_path / "out"), **given)
    assert done.returncode == 0, done.stdout + done.stderr
    config = tmp_path / "out" / "prometheus.yml"
    # The rules are on no host here.
    config.write_text(
        re.sub(r"/etc/prometheus/rules", str(ROOT / "roles/prometheus/files/rules"), config.read_text())
    )
    for command in (
        [promtool, "check", "config", config],
        [amtool, "check-config", tmp_path / "out" / "alertmanager.yml"],
    ):
        checked = subprocess.run(command, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    receivers = yaml.safe_load((tmp_path / "out" / "alertmanager.yml").read_text())["receivers"]
    told = {one["name"]: set(one) - {"name"} for one in receivers}
    both = {"webhook_configs", "email_configs"} if given else set()
    assert told["critical"] == both
    assert told["warning"] == ({"webhook_configs"} if given else set())


def test_the_password_of_the_mail_relay_is_in_no_file_but_a_credential(
    ansible_playbook: Run, tmp_path: Path
) -> None:
    done = ansible_playbook(PLAYBOOK, "example-bank", rendered=str(tmp_path / "out"), **EVERYTHING)
    assert done.returncode == 0, done.stdout + done.stderr
    written = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    told = yaml.safe_load(written["alertmanager.yml"])["global"]
    assert told["smtp_auth_username"] == "tellerline"
    assert told["smtp_auth_password_file"].startswith("/run/credentials/prometheus-alertmanager.service/")
    assert not [name for name, text in written.items() if "word with" in text]
