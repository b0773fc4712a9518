"""Modules that keep units and credentials: what is stopped and started, and when nothing is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Plugin = Callable[[str], ModuleType]
PIPELINE, CONNECTOR = "tellerline-pipeline@0-1", "tellerline-connector@0-1"


@pytest.mark.parametrize(
    ("pipeline", "connector", "stop", "start"),
    [
        # (runs, is stale)
        ((True, False), (True, False), [], []),
        ((False, False), (False, False), [], [PIPELINE, CONNECTOR]),
        ((True, False), (True, True), [CONNECTOR], [CONNECTOR]),
        ((True, True), (True, False), [CONNECTOR, PIPELINE], [PIPELINE, CONNECTOR]),
        ((False, True), (True, False), [], [PIPELINE]),
        ((True, True), (False, False), [PIPELINE], [PIPELINE, CONNECTOR]),
    ],
)
def test_a_lane_is_drained_before_its_pipeline_goes(
    plugin: Plugin,
    pipeline: tuple[bool, bool],
    connector: tuple[bool, bool],
    stop: list[str],
    start: list[str],
) -> None:
    units = plugin("modules/systemd_units")
    assert units.plan([(PIPELINE, *pipeline), (CONNECTOR, *connector)]) == (stop, start)


def test_a_unit_is_stale_when_its_settings_or_drop_ins_are_newer(plugin: Plugin, tmp_path: Path) -> None:
    units = plugin("modules/systemd_units")
    settings, drop_in = tmp_path / "pipeline@0-1.yml", tmp_path / "lane.conf"
    for path in (settings, drop_in):
        path.touch()
        os.utime(path, (1000, 1000))
    # Started 60 s ago on the clock of the host, at 1,040 of the wall clock.
    said = {"ExecMainStartTimestampMonotonic": "40000000", "FragmentPath": "", "DropInPaths": str(drop_in)}
    now = (1100.0, 100.0)
    assert not units.is_stale(said, [str(settings), str(tmp_path / "missing")], now)
    os.utime(settings, (1050, 1050))
    assert units.is_stale(said, [str(settings)], now)
    assert not units.is_stale(said, [], now)
    os.utime(drop_in, (1050, 1050))
    assert units.is_stale(said, [], now)
    assert not units.is_stale({**said, "ExecMainStartTimestampMonotonic": "0"}, [], now)


def test_a_link_counts_by_when_it_was_made(plugin: Plugin, tmp_path: Path) -> None:
    units = plugin("modules/systemd_units")
    (tmp_path / "release").touch()
    link = tmp_path / "current"
    link.symlink_to("release")
    os.utime(link, (2000, 2000), follow_symlinks=False)
    os.utime(tmp_path / "release", (1000, 1000))
    assert units.written(str(link)) == 2000


def test_a_credential_is_opened_and_compared(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = plugin("modules/systemd_credential")
    path = tmp_path / "store" / "tellerline-session.audit_key"

    def systemd_creds(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        # Sealed under its name, as the real one does: reversed bytes stand for the encryption.
        name = command[2].encode()
        if command[1] == "encrypt":
            given = options["input"]
            assert isinstance(given, bytes)
            return subprocess.CompletedProcess(command, 0, (name + given)[::-1], b"")
        held = Path(command[3]).read_bytes()[::-1]
        good = held.startswith(name)
        return subprocess.CompletedProcess(command, 0 if good else 1, held.removeprefix(name), b"")

    monkeypatch.setattr(credential.subprocess, "run", systemd_creds)
    assert credential.opened("audit_key", str(path)) is None
    credential.write_whole(str(path), credential.sealed("audit_key", b"word"))
    assert credential.opened("audit_key", str(path)) == b"word"
    assert credential.opened("bank_token", str(path)) is None
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
