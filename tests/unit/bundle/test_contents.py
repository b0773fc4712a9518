"""What a bundle is made of: locks, the release, the list of parts."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tellerline.bundle import release, sbom, wheels
from tellerline.engine.manifest import Manifest

TOP = Path(__file__).resolve().parents[3]


def _wheel(folder: Path, name: str, version: str, metadata: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as content:
        told = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{metadata}"
        content.writestr(f"{name}-{version}.dist-info/METADATA", told)
    return path


def test_a_lock_names_each_wheel_by_its_hash(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path, "grpcio_health_checking", "1.2")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert wheels.lock(tmp_path) == f"grpcio-health-checking==1.2 --hash=sha256:{digest}\n"


def test_a_lock_may_leave_out_what_comes_as_a_variant(tmp_path: Path) -> None:
    _wheel(tmp_path, "llama_cpp_python", "0.3")
    _wheel(tmp_path, "click", "8")
    assert wheels.lock(tmp_path, but="llama-cpp-python").startswith("click==8 ")
    assert "llama" not in wheels.lock(tmp_path, but="llama-cpp-python")


def test_a_lock_file_is_split_by_package() -> None:
    found = wheels.split((TOP / "requirements.lock").read_text())
    assert "".join(found.values()).count("--hash") == (TOP / "requirements.lock").read_text().count("--hash")
    assert found["llama-cpp-python"].startswith("llama-cpp-python==")


class _NoPip(wheels.Wheels):
    """Makes a wheel without building one."""

    def project(self, tree: Path, folder: Path) -> Path:
        assert (tree / "src/tellerline/__init__.py").is_file() and (tree / "pyproject.toml").is_file()
        return _wheel(folder, "tellerline", "0.1.0")


def _built(top: Path, folder: Path) -> Path:
    (folder / "control").mkdir(parents=True)
    release.build(top, folder, "format: 1\nmodels: {}\n", _NoPip(folder, print), lambda line: None)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release of this tree, with an empty manifest of models."""
    return _built(TOP, tmp_path_factory.mktemp("built"))


def _names(archive: Path) -> set[str]:
    with tarfile.open(archive) as content:
        return set(content.getnames())


def test_servers_get_units_and_manifests_and_no_sources(built: Path) -> None:
    names = _names(built / "release.tar.gz")
    wanted = {
        "tellerline-0.1.0-py3-none-any.whl",
        "systemd/tellerline.target",
        "models/manifest.yml",
        "models/starter.yml",
        "models/known-answers/vosk-small-ko.wav",
        "share/LICENSE",
        "share/docs/operations.md",
    }
    assert wanted <= names
    assert not [name for name in names if name.startswith(("src", "tests", "var", "roles"))]


def test_the_control_node_gets_the_playbooks(built: Path) -> None:
    names = _names(built / "control/site.tar.gz")
    wanted = {"site.yml", "ansible.cfg", "roles/release/tasks/main.yml", "plugins/modules/systemd_units.py"}
    assert wanted <= names
    subprocess.run(["bash", "-n", built / "control/control-node"], check=True)


def test_the_same_tree_makes_the_same_archive(tmp_path: Path) -> None:
    # Not this tree: somebody may be working in it.
    for name in (
        "src/tellerline/__init__.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "site.yml",
        "docs/a.md",
    ):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    (tmp_path / "tree/scripts").mkdir()
    shutil.copy(TOP / "scripts/control-node", tmp_path / "tree/scripts")
    first = _built(tmp_path / "tree", tmp_path / "first") / "control/site.tar.gz"
    (tmp_path / "tree/site.yml").touch()
    assert (
        _built(tmp_path / "tree", tmp_path / "second") / "control/site.tar.gz"
    ).read_bytes() == first.read_bytes()


def test_every_part_is_named_once_with_licence_and_checksum(tmp_path: Path) -> None:
    first = _wheel(tmp_path / "wheels", "PyYAML", "6.0", "License-Expression: MIT\n")
    _wheel(tmp_path / "control" / "wheels", "PyYAML", "6.0", "License-Expression: MIT\n")
    _wheel(
        tmp_path / "wheels",
        "old",
        "1",
        "License: UNKNOWN\nClassifier: License :: OSI Approved :: BSD License\n",
    )
    content = tmp_path / "content"
    (content / "DEBIAN").mkdir(parents=True)
    control = (
        "Package: small\nVersion: 1:2\nArchitecture: amd64\nMaintainer: n <n@example.com>\nDescription: d\n"
    )
    (content / "DEBIAN/control").write_text(control)
    (content / "usr/share/doc/small").mkdir(parents=True)
    (content / "usr/share/doc/small/copyright").write_text("Files: *\nLicense: Expat\n\nLicense: GPL-2+\n")
    (tmp_path / "debs").mkdir()
    subprocess.run(["dpkg-deb", "--build", content, tmp_path / "debs"], check=True, capture_output=True)
    shutil.rmtree(content)

    parts = sbom.collect(tmp_path, Manifest(format=1, models={}))
    document = json.loads(sbom.cyclonedx(parts, "0.1.0"))
    components = {part["bom-ref"]: part for part in document["components"]}
    assert len(components) == len(document["components"]) == 4
    yaml_part = components[str(first.relative_to(tmp_path))]
    assert yaml_part["purl"] == "pkg:pypi/pyyaml@6.0"
    assert yaml_part["hashes"][0]["content"] == hashlib.sha256(first.read_bytes()).hexdigest()
    listed = sbom.licences(parts, "0.1.0")
    assert listed.count("| PyYAML | 6.0 | MIT |") == 1
    assert "| old | 1 | BSD License |" in listed and "| small | 1:2 | Expat, GPL-2+ |" in listed
    assert sbom.cyclonedx(parts, "0.1.0") == sbom.cyclonedx(parts, "0.1.0")
