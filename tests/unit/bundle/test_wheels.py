"""Wheels are got once; the one that is compiled is compiled for any server, unless somebody asks for less."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tellerline.bundle import wheels

LOCK = """click==8.5 \\
    --hash=sha256:00
llama-cpp-python==0.3 \\
    --hash=sha256:11
"""


class _Index(wheels.Wheels):
    """Makes an empty wheel of each package pip would have been asked for, and notes how."""

    def __init__(self, work: Path) -> None:
        super().__init__(work, lambda line: None)
        self.asked: list[tuple[list[str], str]] = []

    def _pip(self, *arguments: str | Path, what: str, env: dict[str, str] | None = None) -> None:
        given = [str(part) for part in arguments]
        names = list(wheels.split(Path(given[given.index("--requirement") + 1]).read_text()))
        self.asked.append((names, (env or {}).get("CMAKE_ARGS", "")))
        folder = Path(given[given.index("--wheel-dir") + 1])
        folder.mkdir()
        for name in names:
            (folder / f"{name.replace('-', '_')}-1-py3-none-any.whl").write_text(name)


@pytest.fixture
def index(tmp_path: Path) -> _Index:
    (tmp_path / "work").mkdir()
    (tmp_path / "requirements.lock").write_text(LOCK)
    return _Index(tmp_path / "work")


def test_what_is_compiled_runs_on_any_server(index: _Index, tmp_path: Path) -> None:
    index.runtime(tmp_path / "requirements.lock", tmp_path / "bundle/wheels", native=False)
    assert index.asked == [(["click"], ""), (["llama-cpp-python"], "-DGGML_NATIVE=OFF")]
    assert len(list((tmp_path / "bundle/wheels").glob("*.whl"))) == 2


def test_for_this_machine_alone_pips_own_copy_will_do(index: _Index, tmp_path: Path) -> None:
    index.runtime(tmp_path / "requirements.lock", tmp_path / "bundle/wheels", native=True)
    assert index.asked == [(["click"], ""), (["llama-cpp-python"], "")]


def test_a_second_build_gets_nothing_again(index: _Index, tmp_path: Path) -> None:
    for _ in range(2):
        index.runtime(tmp_path / "requirements.lock", tmp_path / "bundle/wheels", native=False)
        index.control(tmp_path / "requirements.lock", tmp_path / "bundle/control/wheels")
    assert len(index.asked) == 3


def test_a_wheel_that_changed_is_got_again_and_what_was_compiled_is_not_compiled_again(
    index: _Index, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle/wheels"
    index.runtime(tmp_path / "requirements.lock", folder, native=False)
    (folder / "click-1-py3-none-any.whl").write_text("damaged")
    (folder / "left_from_before-1-py3-none-any.whl").write_text("")
    index.runtime(tmp_path / "requirements.lock", folder, native=False)
    assert [names for names, _ in index.asked] == [["click"], ["llama-cpp-python"], ["click"]]
    assert (folder / "click-1-py3-none-any.whl").read_text() == "click"
    assert len(list(folder.glob("*.whl"))) == 2


def test_a_machine_without_cuda_says_so(
    index: _Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not index.cuda(tmp_path / "requirements.lock", tmp_path / "bundle/wheels-cuda")
    assert index.asked == []
