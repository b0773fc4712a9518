"""What `tellerline doctor` says of machines, ports and devices."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest
from free_ports import free_port

from tellerline.cli import doctor
from tellerline.settings import SipSettings

GOOD = doctor.Machine(
    python=(3, 11),
    cores=2,
    memory_gib=8.0,
    disk_gib=20.0,
    architecture="x86_64",
    cpu_flags=frozenset({"sse4_2", "avx2"}),
    temporary_folder=Path("/tmp"),
)


def test_a_good_machine_needs_nothing() -> None:
    assert all(finding.level == "good" and not finding.remedy for finding in doctor.check_machine(GOOD))


@pytest.mark.parametrize(
    ("change", "check", "level"),
    [
        ({"python": (3, 9)}, "python", "bad"),
        ({"cores": 1}, "cores", "bad"),
        ({"memory_gib": 1.0}, "memory", "bad"),
        ({"disk_gib": 0.5}, "disk", "bad"),
        ({"cpu_flags": frozenset()}, "cpu", "advice"),
        ({"architecture": "aarch64"}, "cpu", "bad"),
        ({"temporary_folder": Path("/" + "deep/" * 20)}, "sockets", "bad"),
    ],
)
def test_each_lack_is_named_with_its_remedy(change: dict[str, object], check: str, level: str) -> None:
    lacking = dataclasses.replace(GOOD, **change)  # type: ignore[arg-type]
    findings = [finding for finding in doctor.check_machine(lacking) if finding.level != "good"]
    assert [(finding.check, finding.level) for finding in findings] == [(check, level)]
    assert findings[0].remedy


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["UDP", "TCP"])
def test_a_taken_sip_port_is_found(tmp_path: Path, kind: socket.SocketKind) -> None:
    sip = SipSettings(port=free_port(), rtp_port_first=free_port() // 2, rtp_port_count=8)
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", sip.port))
        if kind == socket.SOCK_STREAM:
            other.listen()
        (finding,) = doctor.check_ports(tmp_path, sip)
    assert finding.level == "advice"
    assert str(sip.port) in finding.found


def test_a_library_that_does_not_load_is_named() -> None:
    def load(name: str) -> object:
        if name == "pjsua2":
            raise ImportError("libfoo.so: not found")
        return name

    (finding,) = doctor.check_libraries(load)
    assert finding.level == "bad"
    assert "pjsua2" in finding.found and "ctranslate2" not in finding.found


@pytest.mark.parametrize(
    ("nodes", "answer", "level", "found"),
    [
        ([], None, "good", "CPU"),
        (["nvidia0"], "NVIDIA H100, 81559 MiB", "good", "H100"),
        (["nvidia0"], None, "bad", "nvidia0"),
    ],
)
def test_gpus(tmp_path: Path, nodes: list[str], answer: str | None, level: str, found: str) -> None:
    for node in nodes:
        (tmp_path / node).touch()
    (finding,) = doctor.check_devices(tmp_path, lambda: answer)
    assert finding.level == level
    assert found in finding.found
