"""Debian packages: what is needed is found, apt believes the repository. No network: a folder of packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tellerline.bundle.debs import Apt, repository
from tellerline.errors import BundleError

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is Debian's")


def _package(folder: Path, name: str, version: str = "1.0", depends: str = "") -> None:
    content = folder / name
    (content / "DEBIAN").mkdir(parents=True)
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody <n@example.com>\n"
    )
    control += f"Depends: {depends}\n" if depends else ""
    (content / "DEBIAN/control").write_text(f"{control}Description: a package\n")
    (content / f"usr/share/doc/{name}").mkdir(parents=True)
    (content / f"usr/share/doc/{name}/copyright").write_text("Files: *\nLicense: Expat\n text\n")
    subprocess.run(["dpkg-deb", "--build", content, folder], check=True, capture_output=True)
    shutil.rmtree(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Packages that somebody got elsewhere: one needs another, which has an epoch; a third is nobody's."""
    made = tmp_path / "debs"
    made.mkdir()
    _package(made, "edge", depends="edge-library (>= 1:2)")
    _package(made, "edge-library", version="1:2.0-1")
    _package(made, "superfluous")
    return made


@pytest.fixture
def apt(tmp_path: Path, folder: Path) -> Apt:
    """Of that folder and no other source."""
    nothing = tmp_path / "nothing.list"
    nothing.write_text("# no source\n")
    made = Apt(tmp_path / "work", [nothing], [folder], lambda line: None)
    made.update()
    return made


def test_a_closure_has_what_is_needed_and_no_more(apt: Apt) -> None:
    for _ in range(2):
        # The second time everything is there already, which must make no difference.
        found = apt.closure({"edge": ("edge",)})
        assert {name.split("_")[0] for name in found.files} == {"edge", "edge-library"}
        assert all(apt.archive(name).is_file() for name in found.files)


def test_opensips_may_be_missing_and_nothing_else(apt: Apt) -> None:
    assert apt.closure({"edge": ("edge", "opensips")}).missing == ("opensips",)
    with pytest.raises(BundleError, match="role edge installs keepalived: no source has it"):
        apt.closure({"edge": ("edge", "keepalived")})


def test_apt_believes_the_repository_by_its_own_key(apt: Apt, tmp_path: Path) -> None:
    made = tmp_path / "bundle" / "debs"
    files = apt.closure({"edge": ("edge",)}).files
    repository(made, apt, files, "1.2.3", lambda line: None)
    host = tmp_path / "host"
    for name in ("lists/partial", "archives/partial", "empty"):
        (host / name).mkdir(parents=True)
    (host / "status").write_text("")
    (host / "sources.list").write_text(f"deb [signed-by={made}/tellerline.gpg] file:{made} ./\n")

    def client(*arguments: str) -> subprocess.CompletedProcess[str]:
        options = {
            "Dir": host,
            "Dir::Etc::sourcelist": host / "sources.list",
            "Dir::Etc::sourceparts": host / "empty",
            "Dir::State": host,
            "Dir::State::status": host / "status",
            "Dir::Cache": host,
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        given = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        plain = {**os.environ, "LC_ALL": "C"}
        return subprocess.run(["apt-get", *given, *arguments], capture_output=True, text=True, env=plain)

    updated = client("update", "--error-on=any")
    assert updated.returncode == 0, updated.stderr
    simulated = client("install", "--simulate", "edge")
    assert "Inst edge-library (1:2.0-1 Tellerline:1.2.3/stable" in simulated.stdout
    # apt looks for a file of that very name: an escaped epoch would be unescaped.
    downloaded = client("install", "--yes", "--download-only", "edge")
    assert downloaded.returncode == 0, downloaded.stderr

    with (made / "Packages").open("a") as index:
        index.write("\n")
    (made / "Packages.gz").unlink()
    shutil.rmtree(host / "lists")
    (host / "lists/partial").mkdir(parents=True)
    assert client("update", "--error-on=any").returncode != 0


def test_a_second_build_changes_nothing(apt: Apt, tmp_path: Path) -> None:
    made = tmp_path / "bundle" / "debs"
    files = apt.closure({"edge": ("edge",)}).files
    repository(made, apt, files, "1.2.3", lambda line: None)
    (made / "left-from-before_1_amd64.deb").write_text("")
    before = (made / "InRelease").read_bytes()
    repository(made, apt, files, "1.2.3", lambda line: None)
    assert (made / "InRelease").read_bytes() == before
    assert not (made / "left-from-before_1_amd64.deb").exists()
