"""Debian packages of a bundle: the closure of what the roles install, as a signed apt repository."""

from __future__ import annotations

import filecmp
import gzip
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tellerline.bundle import checksums
from tellerline.bundle.commands import run
from tellerline.errors import BundleError

Say = Callable[[str], None]

_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What comes from elsewhere than Debian: a bundle without it is told so, and is still a bundle.
OPTIONAL = ("opensips", "nvidia", "cuda", "libcud")


@dataclass(frozen=True)
class Closure:
    """What was found: files by package, and optional packages that no source has."""

    files: frozenset[str]
    missing: tuple[str, ...]


class Apt:
    """A private apt that believes nothing is installed: its closures suit a minimal Debian 12."""

    def __init__(self, work: Path, sources: Sequence[Path], folders: Sequence[Path], say: Say) -> None:
        self._root = work.resolve() / "apt"
        self._archives = self._root / "archives"
        self._say = say
        for folder in (
            "sources",
            "lists/partial",
            "archives/partial",
            "preferences",
            "conf",
            "local",
            "none/partial",
        ):
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        (self._root / "status").write_text("")
        for old in (self._root / "sources").iterdir():
            old.unlink()
        for source in sources or _default_sources():
            shutil.copy(source, self._root / "sources" / source.name)
        if folders:
            self._offer(folders)

    def _offer(self, folders: Sequence[Path]) -> None:
        # Packages from a folder are the builder's word: the bundle's signature will vouch for them.
        local = self._root / "local"
        shutil.rmtree(local)
        local.mkdir()
        for folder in folders:
            found = sorted(folder.glob("*.deb"))
            if not found:
                raise BundleError(f"bundle: no .deb file in {folder}")
            for package in found:
                shutil.copy(package, local / package.name)
        (local / "Packages").write_text(index(local), encoding="utf-8")
        (self._root / "sources" / "local.list").write_text(f"deb [trusted=yes] file:{local} ./\n")

    def _run(self, *arguments: str, what: str, shown: bool = False, tool: str = "apt-get") -> str:
        options = {
            "Dir": self._root,
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self._root / "sources",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": self._root / "conf",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": self._root / "preferences",
            "Dir::Etc::trusted": _KEYRING,
            "Dir::State": self._root,
            "Dir::State::status": self._root / "status",
            "Dir::Cache": self._root,
            "Dir::Cache::archives": self._archives,
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        chosen = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        return run([tool, *chosen, *arguments], what=what, env={**os.environ, "LC_ALL": "C"}, shown=shown)

    def update(self) -> None:
        """Reads the sources' indices."""
        self._say("Debian packages: reading the sources")
        self._run("update", "-q", what="reading the Debian sources")

    def names(self) -> frozenset[str]:
        """Every package that the sources offer."""
        return frozenset(self._run("pkgnames", what="the packages' names", tool="apt-cache").split())

    def closure(self, wanted: dict[str, tuple[str, ...]]) -> Closure:
        """Finds and fetches what each role's packages need; interrupted, it goes on where it was.

        Raises BundleError for a package that no source has, unless it is an optional one.
        """
        offered = self.names()
        missing: set[str] = set()
        chosen: set[str] = set()
        for role, packages in sorted(wanted.items()):
            absent = [package for package in packages if package.partition("=")[0] not in offered]
            needed = [package for package in absent if not package.startswith(OPTIONAL)]
            if needed:
                raise BundleError(f"bundle: role {role} installs {', '.join(needed)}: no source has it")
            missing.update(absent)
            there = [package for package in packages if package not in absent]
            if there:
                chosen |= self._fetch(role, there)
        return Closure(frozenset(chosen), tuple(sorted(missing)))

    def _fetch(self, role: str, packages: Sequence[str]) -> set[str]:
        # What is in its archives already apt would not list.
        nothing = ("-o", f"Dir::Cache::archives={self._root / 'none'}")
        asked = ("install", "-q", "--print-uris", "-y", *nothing, *packages)
        listed = self._run(*asked, what=f"closure of role {role}")
        lines = [line.split() for line in listed.splitlines() if line.startswith("'")]
        names = {name: int(size) for _, name, size, *_ in lines}
        self._say(f"  {role}: {len(packages)} packages, with their closure {len(names)} files")
        if any(not (self._archives / name).is_file() for name in names):
            self._run(
                "install", "-q", "-y", "--download-only", *packages, what=f"packages of {role}", shown=True
            )
        # A file: source is not copied into the archives.
        for name in names:
            if not (self._archives / name).exists():
                shutil.copy(self._local(name), self._archives / name)
        return set(names)

    def _local(self, name: str) -> Path:
        package, version, _ = name.removesuffix(".deb").replace("%3a", ":").rsplit("_", 2)
        for path in (self._root / "local").glob("*.deb"):
            fields = run(["dpkg-deb", "-f", path, "Package", "Version"], what=path.name)
            if set(fields.split()) >= {package, version}:
                return path
        raise BundleError(f"bundle: apt did not fetch {name}")

    def archive(self, name: str) -> Path:
        """Where a fetched file lies."""
        return self._archives / name


def _default_sources() -> list[Path]:
    for path in _SOURCES:
        if path.is_file() and path.stat().st_size > 0:
            return [path]
    raise BundleError("bundle: no Debian sources on this machine; give --sources FILE")


def index(folder: Path) -> str:
    """The Packages file of a folder of .deb files, from their own control data."""
    entries = []
    for path in sorted(folder.glob("*.deb")):
        control = run(["dpkg-deb", "-f", path], what=path.name).rstrip()
        size, digest = path.stat().st_size, checksums.sha256(path)
        entries.append(f"{control}\nFilename: ./{path.name}\nSize: {size}\nSHA256: {digest}\n")
    return "\n".join(entries)


def repository(folder: Path, apt: Apt, names: Iterable[str], version: str, say: Say) -> None:
    """Lays the files into `folder` and signs the index, unless that is done already.

    The signing key is made for this bundle and thrown away: apt wants a signature, and what vouches for the
    key is the bundle's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # An epoch stands escaped in apt's file names, and would be unescaped where it looks for them.
    wanted = {re.sub(r"_\d+%3a", "_", name): name for name in names}
    for path in folder.glob("*.deb"):
        if path.name not in wanted:
            path.unlink()
    for name, fetched in sorted(wanted.items()):
        place(apt.archive(fetched), folder / name)
    packages = index(folder)
    done = folder / "Packages"
    if done.is_file() and done.read_text(encoding="utf-8") == packages and (folder / "InRelease").is_file():
        say("Debian packages: the repository is as it should be")
        return
    (folder / "InRelease").unlink(missing_ok=True)
    done.write_text(packages, encoding="utf-8")
    (folder / "Packages.gz").write_bytes(gzip.compress(packages.encode(), mtime=0))
    say(f"Debian packages: signing a repository of {len(wanted)} files")
    _sign(folder, version)


def _sign(folder: Path, version: str) -> None:
    lines = [
        "Origin: Tellerline",
        "Label: Tellerline",
        "Suite: stable",
        "Codename: bookworm",
        f"Version: {version}",
        f"Date: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S} +0000",
        "Architectures: amd64",
        "Components: main",
        f"Description: Debian packages for Tellerline {version}",
        "SHA256:",
    ]
    for name in ("Packages", "Packages.gz"):
        path = folder / name
        lines.append(f" {checksums.sha256(path)} {path.stat().st_size} {name}")
    (folder / "Release").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="tellerline-gpg-") as home:
        # gpg writes into its home only, and its agent ends with it.
        gpg = [
            "gpg",
            "--homedir",
            home,
            "--batch",
            "--yes",
            "--quiet",
            "--passphrase",
            "",
            "--pinentry-mode",
            "loopback",
        ]
        try:
            name = f"Tellerline {version} packages"
            run([*gpg, "--quick-generate-key", name, "ed25519", "sign", "never"], what="the repository's key")
            run(
                [*gpg, "--clearsign", "--output", folder / ".InRelease", folder / "Release"],
                what="signing the index",
            )
            run([*gpg, "--export", "--output", folder / "tellerline.gpg"], what="the repository's key")
        finally:
            run(["gpgconf", "--homedir", home, "--kill", "all"], what="ending gpg-agent")
    (folder / ".InRelease").rename(folder / "InRelease")


def place(source: Path, target: Path) -> None:
    """Copies a file to where it belongs, at once or not at all, unless it is there already."""
    if target.is_file() and filecmp.cmp(source, target, shallow=False):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, scratch)
    scratch.replace(target)
