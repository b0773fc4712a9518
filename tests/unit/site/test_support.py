"""What is collected for support: what helps is there, secrets, words and numbers of people are not."""

from __future__ import annotations

import datetime
import importlib.util
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
_SCRIPT = ROOT / "roles" / "base" / "files" / "tellerline_support.py"
_NOW = datetime.datetime(2026, 11, 23, 3, 0, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def support() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tellerline_support", _SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("line", "seed"),
    [
        ("INVITE sip:908501234567@198.51.100.1 SIP/2.0", "9085012345"),
        ("From: <sip:Ayse.Yilmaz@example.org>;tag=1", "Ayse"),
        ("Refer-To: <tel:+498912345678>", "4989123456"),
        ("the caller 08912345678 was refused", "089123456"),
        ("customer 10012345 is locked", "100123"),
        ("card 4111 1111 1111 1111 was said", "1111 1111"),
        ("card 4111-1111-1111-1111", "1111-1111"),
        ("IBAN DE89 3704 0044 0532 0130 00", "0044"),
        ("iban=DE89370400440532013000", "37040044"),
        ("redis://session:hunter2hunter2@data1:6379", "hunter2"),
        ("dsn: host=db password=hunter2hunter2 dbname=tellerline", "hunter2"),
        ('{"password": "hunter2 hunter2", "host": "db"}', "hunter2"),
        ("vault_bank_token: hunter2hunter2", "hunter2"),
        ("PIN=4711", "4711"),
        ("authorization: Bearer abc.def-ghi_jkl", "ghi_jkl"),
        ("sent with Bearer abcdefghijkl", "abcdefghijkl"),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:m0XNcFNwlM09UhP9wv7jB8caFFE6dxF8mYAQOs9+", "m0XN"),
        ("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----\nafter", "MIGHAgEA"),
    ],
)
def test_what_must_not_go_is_masked(support: ModuleType, line: str, seed: str) -> None:
    assert seed in line
    text = support.masked(line)
    assert seed not in text
    assert "***" in text or "[masked]" in text


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-23T03:00:12+0000 tellerline-connector[12]: call 0b8e2c1e-8a14-4a62-9d1c-1234567890ab ended",
        "2026-11-23T03:00:12+0000 opensips[77]: INVITE from 198.51.100.10:5060 is from no trunk: dropped",
        "tellerline-engine@0.service active running 3 2026-11-23 03:00:12 UTC",
        'udp UNCONN 0 0 10.77.0.11:5071 0.0.0.0:* users:(("tellerline",pid=4321,fd=9))',
        "password: /run/credentials/tellerline-session.service/database_password",
        "lane 0-1: pipeline: not serving",
        "/dev/sda1 98G 41G 52G 45% /",
    ],
)
def test_what_helps_is_left(support: ModuleType, line: str) -> None:
    assert support.masked(line) == line + "\n"


def test_a_bundle_is_roots_alone_and_holds_what_was_said(support: ModuleType, tmp_path: Path) -> None:
    commands = {
        "said.txt": ("printf", "%s", "unit failed\npassword=hunter2hunter2\n"),
        "bad.txt": ("sh", "-c", "echo trouble >&2; exit 3"),
        "gone.txt": ("/nowhere/at-all",),
    }
    path = support.collect(tmp_path, commands, _NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as bundle:
        held = {Path(one.name).name: bundle.extractfile(one).read().decode() for one in bundle}  # type: ignore[union-attr]
    assert "unit failed" in held["said.txt"] and "hunter2" not in held["said.txt"]
    assert "trouble" in held["bad.txt"] and "[exit status 3]" in held["bad.txt"]
    assert "No such file" in held["gone.txt"]
    with pytest.raises(FileExistsError):
        support.collect(tmp_path, commands, _NOW)


def test_the_end_of_much_is_kept(support: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "MOST", 10)
    assert (
        support.said(("printf", "%s", "x" * 20 + "the end!"))
        == "[the first 18 bytes are left out]\nxxthe end!"
    )


def test_a_command_that_hangs_is_left_behind(support: ModuleType) -> None:
    assert "no end within" in support.said(("sleep", "30"), seconds=0.1)


def test_nothing_is_taken_that_holds_callers(support: ModuleType) -> None:
    for command in support.wanted("1 hour ago", "", sip=False).values():
        line = " ".join(command)
        for word in ("/etc/tellerline", "credstore", "/var/lib", "postgres", "psql", "sip.log", "calls"):
            assert word not in line.replace("postgresql*", "").replace("postgresql-15", ""), line


def test_the_runbook_and_the_playbook_name_it(support: ModuleType) -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text()
    playbook = (ROOT / "playbooks" / "support.yml").read_text()
    assert "playbooks/support.yml" in runbook and "tellerline-support" in runbook
    assert "/usr/local/sbin/tellerline-support" in playbook


@pytest.mark.skipif(shutil.which("/usr/bin/python3") is None, reason="no Python of Debian's")
def test_it_needs_no_python_but_debians() -> None:
    done = subprocess.run(["/usr/bin/python3", "-I", str(_SCRIPT), "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--since" in done.stdout
    assert sys.version_info >= (3, 11)
