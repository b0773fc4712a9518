"""The embedded stack's state file, folders and ports."""

from __future__ import annotations

import dataclasses
import os
import socket
import stat
from pathlib import Path

import pydantic
import pytest
from free_ports import free_port

from tellerline import ports, stack, stack_state
from tellerline.errors import StackError

LANE = stack_state.Lane(
    "cpu-0", "sip:tellerline@127.0.0.1:5070", Path("p.sock"), Path("c.sock"), Path("spool"), 2, 3
)
THIS = stack_state.State(
    os.getpid(), stack_state.life(os.getpid()) or "", Path("e.sock"), 4, (LANE,), Path("log")
)


def write(home: Path, state: stack_state.State) -> None:
    stack_state.state_file(home).parent.mkdir(parents=True)
    stack_state.state_file(home).write_bytes(pydantic.TypeAdapter(stack_state.State).dump_json(state))


def test_no_state_file_means_no_stack(tmp_path: Path) -> None:
    assert not stack_state.is_running(tmp_path)
    with pytest.raises(StackError, match="tellerline up"):
        stack_state.read_state(tmp_path)


def test_the_state_reads_back_as_written(tmp_path: Path) -> None:
    write(tmp_path, THIS)
    assert stack_state.read_state(tmp_path) == THIS


def test_a_state_file_whose_process_number_is_anothers_now_is_no_stack(tmp_path: Path) -> None:
    boot, _, tick = THIS.life.partition(" ")
    write(tmp_path, dataclasses.replace(THIS, life=f"{boot} {int(tick) - 1}"))
    assert not stack_state.is_running(tmp_path)


def test_a_process_that_is_not_there_has_no_life() -> None:
    # Above the kernel's highest number (proc(5), pid_max).
    assert stack_state.life(2**22 + 1) is None


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["UDP", "TCP"])
def test_a_taken_port_is_passed_over(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        port = free_port()
        other.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            other.listen()
        assert ports.free_sip_port("127.0.0.1", port) > port


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_folders_of_records_and_logs_are_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    spool = home / "spool"
    spool.mkdir(parents=True)
    spool.chmod(0o755)
    for folder in (spool, spool / "cpu-0"):
        stack.make_private(folder, home)
    assert (mode(spool), mode(spool / "cpu-0")) == (0o700, 0o700)


def test_a_folder_of_somebody_elses_keeps_its_mode(tmp_path: Path) -> None:
    theirs = tmp_path / "log"
    theirs.mkdir()
    theirs.chmod(0o755)
    stack.make_private(theirs, tmp_path / "home")
    assert mode(theirs) == 0o755


def test_overrides_reach_nested_settings_and_leave_the_rest() -> None:
    base = stack.settings.ConnectorSettings()
    changed = stack.overridden(base, {"sip": {"port": 5099}})
    assert changed.sip.port == 5099
    assert changed.sip.rtp_port_first == base.sip.rtp_port_first
    with pytest.raises(pydantic.ValidationError):
        stack.overridden(base, {"sip": {"prot": 1}})


def test_a_release_has_its_manifest_beside_its_venv(tmp_path: Path) -> None:
    release, elsewhere = tmp_path / "release", tmp_path / "site-packages"
    (release / "models").mkdir(parents=True)
    (release / "models" / "starter.yml").touch()
    assert stack.starter_manifest(elsewhere, release / "venv") == release / "models" / "starter.yml"
    (elsewhere / "models").mkdir(parents=True)
    (elsewhere / "models" / "starter.yml").touch()
    assert stack.starter_manifest(elsewhere, release / "venv") == elsewhere / "models" / "starter.yml"
    assert stack.MANIFEST.exists()
