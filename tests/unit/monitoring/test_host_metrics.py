"""What a host tells of certificates, tasks, GPUs and addresses."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import prometheus
import pytest

SCRIPT = prometheus.ROOT / "roles" / "node_exporter" / "files" / "host_metrics.py"
NOTHING: dict[str, Any] = {
    "certificates": [],
    "tasks": {},
    "gpus": [],
    "virtual_address": "",
    "siem_port": 0,
    "siem_queue": "",
}


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


host_metrics = loaded(SCRIPT)


def lines(samples: Any) -> list[str]:
    return [sample.line() for sample in samples]


def test_the_end_of_a_certificate_is_told(tmp_path: Path) -> None:
    path = tmp_path / "session.pem"
    made = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ed25519",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=session.data1",
    )
    subprocess.run([*made, "-keyout", tmp_path / "key", "-out", path], check=True, capture_output=True)
    (sample,) = host_metrics.certificates([str(tmp_path / "*.pem")])
    assert sample.labels == {"file": str(path)}
    assert abs(sample.value - path.stat().st_mtime - 30 * 86_400) < 600


def test_a_file_that_is_no_certificate_shows_as_ended(tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_text("nothing")
    (sample,) = host_metrics.certificates([str(tmp_path / "*.pem")])
    assert sample.value == 0


def test_the_newest_file_of_a_task_counts(tmp_path: Path) -> None:
    for name, at in (("calls-1.csv", 1000), ("calls-2.csv", 2000)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at, at))
    told = lines(
        host_metrics.tasks(
            {
                "call-export": {"file": str(tmp_path / "calls-*.csv"), "due_seconds": 60},
                "backup": {"file": str(tmp_path / "gone"), "due_seconds": 60},
            }
        )
    )
    assert told == [
        'tellerline_task_succeeded_unix_seconds{task="call-export"} 2000',
        'tellerline_task_due_seconds{task="call-export"} 60',
    ]


def test_a_gpu_that_is_gone_is_told_and_one_without_error_counter_is_not_broken() -> None:
    told = lines(host_metrics.gpus(["0", "1"], "0, 61, 1024, 24576, 37, [N/A]\n"))
    assert 'tellerline_gpu_present{gpu="0"} 1' in told
    assert 'tellerline_gpu_present{gpu="1"} 0' in told
    assert 'tellerline_gpu_memory_used_bytes{gpu="0"} 1073741824' in told
    assert not any("uncorrected" in line for line in told)
    assert lines(host_metrics.gpus(["0"], None)) == ['tellerline_gpu_present{gpu="0"} 0']


def test_who_holds_the_virtual_address() -> None:
    told = json.dumps([{"ifname": "eth0", "addr_info": [{"local": "192.0.2.11"}, {"local": "192.0.2.10"}]}])
    assert lines(host_metrics.virtual_address("192.0.2.10/24", told)) == ["tellerline_virtual_address_held 1"]
    assert lines(host_metrics.virtual_address("192.0.2.9", told)) == ["tellerline_virtual_address_held 0"]
    assert lines(host_metrics.virtual_address("", told)) == []


def test_whether_the_siem_is_connected_and_what_waits(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    row = "   0: 0A4D0015:D2F0 0A4D0063:{port:04X} {state} 00000000:00000000\n"
    (tmp_path / "siem.00000001").write_bytes(b"x" * 100)
    (tmp_path / "siem.00000002").write_bytes(b"x" * 11)
    for port, state, connected in ((6514, "01", 1), (6514, "08", 0), (6515, "01", 0)):
        table.write_text(head + row.format(port=port, state=state))
        assert lines(host_metrics.siem(6514, str(tmp_path / "siem.0*"), [table])) == [
            f"tellerline_siem_connected {connected}",
            "tellerline_siem_queue_bytes 111",
        ]
    assert lines(host_metrics.siem(0, "", [table])) == []


def test_the_file_is_what_prometheus_reads(tmp_path: Path) -> None:
    told = [
        host_metrics.Sample("tellerline_task_due_seconds", 5.0, {"task": 'a"b\\c'}),
        host_metrics.Sample("tellerline_gpu_uncorrected_errors_total", 2.0, {"gpu": "0"}),
    ]
    text = host_metrics.exposition(told)
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["tellerline_task_due_seconds"].samples[0].labels == {"task": 'a"b\\c'}
    assert families["tellerline_gpu_uncorrected_errors"].type == "counter"


def test_it_runs_with_no_other_python_than_debians(tmp_path: Path) -> None:
    config, out = tmp_path / "host.json", tmp_path / "tellerline.prom"
    config.write_text(json.dumps({**NOTHING, "siem_port": 6514, "siem_queue": "/nowhere*"}))
    command = [sys.executable, "-I", "-S", SCRIPT, "--config", config, "--out", out]
    subprocess.run(command, check=True)
    assert out.read_text().endswith("tellerline_siem_queue_bytes 0\n")
    assert out.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "wrong", [{"gpus": "0"}, {"tasks": {"backup": {"file": "/x"}}}, {"certificates": None}]
)
def test_wrong_settings_are_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    config = tmp_path / "host.json"
    config.write_text(json.dumps({**NOTHING, **wrong}))
    command = [sys.executable, SCRIPT, "--check-config", config]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert next(iter(wrong)) in done.stderr
