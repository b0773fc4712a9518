"""The release itself: what servers get of this tree, and what the control node gets."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tellerline.bundle.wheels import Wheels
from tellerline.errors import BundleError

Say = Callable[[str], None]

# Of the tree, for servers: path there → path in the release.
_SERVER = {
    "systemd": "systemd",
    "models": "models",
    "opensips": "share/opensips",
    "docs": "share/docs",
    "LICENSE": "share/LICENSE",
    "CHANGELOG.md": "share/CHANGELOG.md",
}
# For the control node, as they lie in the tree.
_CONTROL = (
    "site.yml", "ansible.cfg", "playbooks", "plugins", "roles", "inventory", "systemd", "opensips", "models",
    "docs", "README.md", "CHANGELOG.md", "LICENSE", "requirements-ansible.lock",
)  # fmt: skip


def tracked(top: Path) -> list[Path]:
    """The files of the tree that belong to it: no build output, nothing ignored.

    A tree without git (a release unpacked from an archive) is taken as it is.
    """
    asked = ["git", "-C", str(top), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return sorted(path.relative_to(top) for path in top.rglob("*") if path.is_file())
    return sorted(Path(name) for name in set(listed.split("\0")) if name and (top / name).is_file())


def _below(files: list[Path], place: str) -> Iterator[Path]:
    at = Path(place)
    yield from (path for path in files if path == at or at in path.parents)


class _Archive:
    """A tar.gz that is the same for the same content: names in order, no times, no owners."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members: dict[str, tuple[bytes, int]] = {}

    def add(self, name: str, content: bytes, executable: bool = False) -> None:
        self._members[name] = content, 0o755 if executable else 0o644

    def add_file(self, name: str, path: Path) -> None:
        self.add(name, path.read_bytes(), executable=bool(path.stat().st_mode & 0o100))

    def close(self) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, (content, mode) in sorted(self._members.items()):
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), mode
                archive.addfile(member, io.BytesIO(content))
        self._path.write_bytes(gzip.compress(packed.getvalue(), mtime=0))


def build(top: Path, bundle: Path, models_manifest: str, wheels: Wheels, say: Say) -> None:
    """Writes release.tar.gz for the servers and control/site.tar.gz for the control node."""
    files = tracked(top)
    say(f"the release: {len(files)} files of the tree")
    server = _Archive(bundle / "release.tar.gz")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        for path in (*_below(files, "src"), *map(Path, ("pyproject.toml", "README.md", "LICENSE"))):
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(top / path, tree / path)
        wheel = wheels.project(tree, Path(scratch) / "wheel")
        server.add_file(wheel.name, wheel)
    for place, target in _SERVER.items():
        for path in _below(files, place):
            server.add_file(str(Path(target) / path.relative_to(place)), top / path)
    server.add("models/manifest.yml", models_manifest.encode())
    server.close()
    control = _Archive(bundle / "control" / "site.tar.gz")
    for place in _CONTROL:
        for path in _below(files, place):
            control.add_file(str(path), top / path)
    control.close()
    shutil.copy(top / "scripts/control-node", bundle / "control" / "control-node")


def version(top: Path) -> str:
    """The release's version, from pyproject.toml."""
    for line in (top / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("version = "):
            return line.partition("=")[2].strip().strip('"')
    raise BundleError(f"bundle: {top / 'pyproject.toml'} names no version")
