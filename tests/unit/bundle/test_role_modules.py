"""The role's modules: files arrive whole, releases are complete, the current one is changed at once."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

Module = Callable[[str], ModuleType]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _packed(path: Path, content: dict[str, str]) -> Path:
    source = path.with_suffix(".source")
    source.write_text("")
    with tarfile.open(path, "w") as archive:
        for name, text in content.items():
            source.write_text(text)
            archive.add(source, name)
    return path


# ---- release_files


def test_what_arrived_is_put_in_its_place(module: Module, tmp_path: Path) -> None:
    files = module("release_files")
    wanted = {"a/model.bin": _sha256("one"), "b": _sha256("two")}
    dest = tmp_path / "models"
    assert files.missing(dest, wanted) == ["a/model.bin", "b"]
    part = _packed(tmp_path / "part.tar", {"a/model.bin": "one", "b": "two"})
    assert files.lay_down(dest, wanted, part) == []
    assert (dest / "a/model.bin").read_text() == "one"
    assert files.missing(dest, wanted) == []


def test_what_was_damaged_on_the_way_is_named_and_not_there(module: Module, tmp_path: Path) -> None:
    files = module("release_files")
    wanted = {"a": _sha256("one"), "b": _sha256("two")}
    part = _packed(tmp_path / "part.tar", {"a": "One", "b": "two"})
    assert files.lay_down(tmp_path / "models", wanted, part) == ["a"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["b"]


def test_a_large_file_arrives_by_itself(module: Module, tmp_path: Path) -> None:
    files = module("release_files")
    wanted = {"a": _sha256("one")}
    part = tmp_path / "part"
    part.write_text("one")
    assert files.lay_down(tmp_path / "models", wanted, part, single="a") == []
    part.write_text("two")
    assert files.lay_down(tmp_path / "models", wanted, part, single="a") == ["a"]
    assert (tmp_path / "models/a").read_text() == "one"


@pytest.mark.parametrize("name", ["../outside", "/outside"])
def test_nothing_is_put_where_nobody_asked(module: Module, tmp_path: Path, name: str) -> None:
    files = module("release_files")
    part = _packed(tmp_path / "part.tar", {name: "one"})
    assert files.lay_down(tmp_path / "models", {"a": _sha256("one")}, part) != []
    assert not (tmp_path / "outside").exists()


def test_a_changed_file_is_missing_and_a_further_one_is_a_stranger(module: Module, tmp_path: Path) -> None:
    files = module("release_files")
    for name, text in (("a", "One"), ("b", "two"), ("c", "three")):
        (tmp_path / name).write_text(text)
    wanted = {"a": _sha256("one"), "b": _sha256("two")}
    assert files.missing(tmp_path, wanted) == ["a"]
    assert files.strangers(tmp_path, wanted) == ["c"]


def test_a_disk_without_room_is_refused_before_anything_is_copied(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = module("release_files")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 30))
    dest = tmp_path / "not" / "there" / "yet"
    assert files.room(dest, [1 << 30], 1) == ""
    assert "needs 5632 MB, and 3072 MB are free" in files.room(dest, [1 << 30], 4)
    # Nothing is missing: a full disk is no fault of this.
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert files.room(dest, [], 1) == ""


# ---- release_current


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three releases, none of them current."""
    for version in ("1.0", "1.1", "2.0"):
        (tmp_path / "releases" / version).mkdir(parents=True)
    return tmp_path


def test_the_release_before_is_kept(module: Module, root: Path) -> None:
    current = module("release_current")
    current.flip(root, "1.0")
    assert (current.version_of(root, "current"), current.version_of(root, "previous")) == ("1.0", "")
    current.flip(root, "1.1")
    current.flip(root, "1.1")
    assert (current.version_of(root, "current"), current.version_of(root, "previous")) == ("1.1", "1.0")
    assert (root / "current").resolve() == root / "releases" / "1.1"


def test_there_is_a_current_release_at_every_moment(
    module: Module, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = module("release_current")
    current.flip(root, "1.0")
    seen = []
    rename = os.rename

    def watched(source: str, target: str) -> None:
        seen.append(current.version_of(root, "current"))
        rename(source, target)
        seen.append(current.version_of(root, "current"))

    monkeypatch.setattr(os, "rename", watched)
    current.flip(root, "1.1")
    assert seen == ["1.0", "1.0", "1.0", "1.1"]


def test_only_what_nothing_points_to_is_superfluous(module: Module, root: Path) -> None:
    current = module("release_current")
    (root / "packages" / "1.0").mkdir(parents=True)
    kept = {"1.1", "2.0"}
    assert current.superfluous(root, kept) == ["releases/1.0", "packages/1.0"]


def test_a_release_gets_the_settings_back_it_was_left_with(module: Module, root: Path) -> None:
    current = module("release_current")
    settings = root / "etc"
    settings.mkdir()
    (settings / "engine.yml").write_text("old")
    patterns = [f"{settings}/*.yml"]
    current.keep(root, "1.0", patterns)
    assert (root / "releases/1.0/settings.tar").stat().st_mode & 0o777 == 0o600
    (settings / "engine.yml").write_text("new")
    (settings / "further.yml").write_text("only the new release reads this")
    (settings / "vault.key").write_text("no setting")
    current.restore(root, "1.0", patterns)
    assert (settings / "engine.yml").read_text() == "old"
    assert sorted(path.name for path in settings.iterdir()) == ["engine.yml", "vault.key"]


def test_models_go_when_neither_release_names_them(module: Module, root: Path) -> None:
    current, store = module("release_current"), root / "models"
    for model in ("whisper/1", "whisper/2", "voice/1", "router/1"):
        (store / model).mkdir(parents=True)
    (store / "manifest.yml").write_text("")
    assert current.name_models(root, "2.0", ["whisper/2/model.bin", "voice/1/a/voice.onnx", "manifest.yml"])
    assert current.unnamed_models(root, {"1.1", "2.0"}, store) == [], "1.1 has not said what it needs"
    assert current.name_models(root, "1.1", ["whisper/1/model.bin"])
    assert not current.name_models(root, "1.1", ["whisper/1/model.bin"])
    assert current.unnamed_models(root, {"1.1", "2.0"}, store) == ["router/1"]
    assert current.unnamed_models(root, {"2.0"}, store) == ["router/1", "whisper/1"]


# ---- release_install


def test_a_release_without_its_mark_is_not_complete(module: Module, tmp_path: Path) -> None:
    install = module("release_install")
    assert not install.complete(tmp_path, "abc")
    (tmp_path / ".complete").write_text("abc\n")
    assert install.complete(tmp_path, "abc")
    assert not install.complete(tmp_path, "another build of it")


def test_what_fails_leaves_no_complete_release(module: Module, tmp_path: Path) -> None:
    install = module("release_install")
    incoming, folder = tmp_path / "incoming", tmp_path / "releases" / "1.0"
    (incoming / "wheels").mkdir(parents=True)
    with tarfile.open(incoming / "release.tar.gz", "w:gz"):
        pass
    (incoming / "requirements.lock").write_text("nothing-like-it==1 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(install.Failed, match="Python packages"):
        install.install(folder, "abc", incoming, "requirements.lock", True)
    assert not install.complete(folder, "abc")


@pytest.mark.parametrize(
    ("lock", "by_path"), [("requirements.lock", []), ("requirements-cuda.lock", ["llama.whl"])]
)
def test_a_gpus_packages_are_taken_by_their_path(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: str, by_path: list[str]
) -> None:
    install = module("release_install")
    incoming = tmp_path / "incoming"
    (incoming / "wheels-cuda").mkdir(parents=True)
    (incoming / "wheels-cuda/llama.whl").write_text("")
    with tarfile.open(incoming / "release.tar.gz", "w:gz") as archive:
        archive.add(incoming / "wheels-cuda/llama.whl", "tellerline-1.0-py3-none-any.whl")
    commands: list[list[str]] = []
    monkeypatch.setattr(
        install, "_run", lambda what, *command: commands.append([str(part) for part in command])
    )
    install.install(tmp_path / "releases" / "1.0", "abc", incoming, lock, True)
    assert any(command[-2:] == ["--requirement", str(incoming / lock)] for command in commands)
    named = [Path(command[-1]).name for command in commands if "wheels-cuda" in command[-1]]
    assert named == by_path


def test_files_alone_are_a_release_for_a_host_without_daemons(module: Module, tmp_path: Path) -> None:
    install = module("release_install")
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    unit = tmp_path / "unit"
    unit.write_text("[Unit]")
    with tarfile.open(incoming / "release.tar.gz", "w:gz") as archive:
        archive.add(unit, "systemd/tellerline.target")
    folder = tmp_path / "releases" / "1.0"
    install.install(folder, "abc", incoming, "requirements.lock", False)
    assert (folder / "systemd/tellerline.target").read_text() == "[Unit]"
    assert install.complete(folder, "abc") and not (folder / "venv").exists()
