"""`--check-config` of every daemon: good files pass, and a wrong key is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tellerline import settings
from tellerline.cli import main
from tellerline.errors import SettingsError

# What has no default: where the databases and the bank are.
_DATASTORES: dict[str, Any] = {
    "database": {"dsn": "host=127.0.0.1 dbname=tellerline"},
    "redis": {"url": "redis://127.0.0.1:6379/0"},
    "audit_key": "/run/credentials/audit.key",
}
DAEMONS: dict[str, tuple[type[settings.Concern], dict[str, Any]]] = {
    "engine": (settings.EngineSettings, {}),
    "pipeline": (settings.PipelineSettings, {}),
    "connector": (settings.ConnectorSettings, {}),
    "session": (settings.SessionSettings, _DATASTORES),
    "banking": (
        settings.BankingSettings,
        {**_DATASTORES, "bank": {"base_url": "https://core.bank.example/tellerline/v1"}},
    ),
}


def _check(daemon: str, file: Path) -> str:
    """What the command prints. Raises SettingsError, which `tellerline` prints and ends with status 2."""
    done = CliRunner().invoke(main.cli, [daemon, "--check-config", str(file)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("daemon", DAEMONS)
def test_defaults_are_good(daemon: str, tmp_path: Path) -> None:
    kind, needed = DAEMONS[daemon]
    short, whole = tmp_path / "short.yml", tmp_path / "whole.yml"
    short.write_text(yaml.safe_dump(needed))
    # Every setting with its default, as an embedded stack writes them.
    whole.write_text(settings.dump(kind.model_validate(needed)))
    assert _check(daemon, short) == f"{short}: good\n"
    assert _check(daemon, whole) == f"{whole}: good\n"


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize("wrong", ["lsiten", "monitoring.metrics_prot"])
def test_an_unknown_key_is_named(daemon: str, wrong: str, tmp_path: Path) -> None:
    _, needed = DAEMONS[daemon]
    outer, _, inner = wrong.partition(".")
    file = tmp_path / "daemon.yml"
    file.write_text(yaml.safe_dump({**needed, outer: {inner: 1} if inner else 1}))
    with pytest.raises(SettingsError) as caught:
        _check(daemon, file)
    for part in (str(file), wrong, "no such setting"):
        assert part in str(caught.value)


def test_settings_are_refused_with_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "banking.yml"
    file.write_text("lsiten: 1")
    monkeypatch.setattr("sys.argv", ["tellerline", "banking", "--check-config", str(file)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"tellerline: {file}: ")
    # What is missing too.
    for key in ("lsiten", "database", "redis", "bank", "audit_key"):
        assert f"{file}: {key}: " in said
