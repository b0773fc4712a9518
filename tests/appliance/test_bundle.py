"""The bundle on a bare host: refused with one bit flipped, complete after one run, unchanged by the next."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hosts import Host
from installation import Appliance, bundle, kill

PLAYBOOK = str(Path(__file__).parent / "playbooks" / "release.yml")
_PYTHON = "/opt/tellerline/current/venv/bin/python -I -c"


@pytest.fixture(scope="module")
def bare(appliance: Callable[..., Appliance]) -> Appliance:
    return appliance("single-server", "teller1")


@pytest.fixture(scope="module")
def teller1(bare: Appliance) -> Host:
    return bare.host("teller1")


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a bundle whose first file that matches has one bit flipped."""

    def damage(pattern: str) -> Path:
        made = bundle()
        assert made is not None
        copy = tmp_path / made.name
        shutil.copytree(made, copy, copy_function=os.link)
        name = next(path.relative_to(made) for path in sorted(made.glob(pattern)) if path.stat().st_size)
        content = bytearray((made / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).unlink()
        (copy / name).write_bytes(content)
        return copy / name

    yield damage


@pytest.mark.parametrize(
    "pattern",
    [
        "debs/minisign_*.deb",
        "debs/InRelease",
        "wheels/*.whl",
        "models/**/*.onnx",
        "release.tar.gz",
        "MANIFEST.sha256",
    ],
)
def test_one_flipped_bit_is_refused_before_the_first_change(
    bare: Appliance, teller1: Host, damaged: Callable[[str], Path], pattern: str
) -> None:
    bad = damaged(pattern)
    folder = next(parent for parent in bad.parents if (parent / "MANIFEST.sha256").exists())
    run = bare.play(PLAYBOOK, "-e", f"tellerline_bundle={folder}", check=False)
    assert run.status != 0
    # Ansible breaks long lines where it likes.
    assert str(bad.relative_to(folder)) in run.output.replace("\n", "").replace(" ", "")
    assert run.changed == 0
    assert (
        teller1.ssh(
            "ls -d /opt/tellerline /etc/apt/sources.list.d/tellerline.list 2>/dev/null || true"
        ).stdout
        == ""
    )


def test_a_dry_run_brings_nothing(bare: Appliance, teller1: Host) -> None:
    bare.play(PLAYBOOK, "--check", "--diff")
    assert teller1.ssh("ls -d /opt/tellerline 2>/dev/null || true").stdout == ""


def test_a_run_that_was_killed_is_finished_by_the_next(bare: Appliance, teller1: Host) -> None:
    running = bare.start_play(PLAYBOOK)
    assert running.stdout is not None
    for line in running.stdout:
        # It says how far it is after each part that arrived.
        if " MB" in line:
            break
    kill(running)
    assert teller1.ssh("ls -d /opt/tellerline/current 2>/dev/null || true").stdout == ""
    first = bare.play(PLAYBOOK)
    print(f"the bundle's part of an installation took {first.seconds:.0f} s")
    assert teller1.ssh("tellerline --version").stdout.startswith("tellerline, version ")
    assert teller1.ssh(f"{_PYTHON} 'import llama_cpp, pjsua2, vosk'", check=False).returncode == 0


def test_models_are_whole(teller1: Host) -> None:
    given = "--store /var/lib/tellerline/models --manifest /opt/tellerline/current/models/manifest.yml"
    assert "bad" not in teller1.ssh(f"tellerline models check {given}").stdout


def test_everybody_may_read_it_and_nobody_may_write(teller1: Host) -> None:
    below = "/opt/tellerline /var/lib/tellerline/models"
    assert teller1.ssh(f"find {below} ! -type l ! -perm -o=r").stdout == ""
    assert (
        teller1.ssh(
            f"find {below} ! -type l ( -perm /022 -o ! -user root )".replace("(", r"\(").replace(")", r"\)")
        ).stdout
        == ""
    )


def test_the_next_run_changes_nothing(bare: Appliance) -> None:
    again = bare.play(PLAYBOOK)
    assert again.changed == 0, again.changes
    assert bare.play(PLAYBOOK, "--check", "--diff").changed == 0


def test_another_build_of_the_running_version_is_refused(bare: Appliance, teller1: Host) -> None:
    teller1.ssh("echo another > /opt/tellerline/current/.complete")
    run = bare.play(PLAYBOOK, check=False)
    assert run.status != 0 and "A version is never reused" in run.output.replace("\n", " ")
