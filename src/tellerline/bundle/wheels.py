"""Python packages of a bundle: wheels, and a lock that names each by its hash."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tellerline.bundle import checksums
from tellerline.bundle.commands import run
from tellerline.errors import BundleError

Say = Callable[[str], None]

LLAMA = "llama-cpp-python"
# AVX2, FMA, F16C: what x86 servers since 2013 have. Without it the compiler takes the build machine's own.
_PORTABLE = "-DGGML_NATIVE=OFF"
_STAMP = ".lock"


def split(lock: str) -> dict[str, str]:
    """Package → its lines of a lock file (name, version, hashes)."""
    entries: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        if found := re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)==", line):
            name = found[1].lower()
            entries[name] = ""
        if name and not line.startswith("#"):
            entries[name] += line
    return entries


def lock(folder: Path, but: str | None = None) -> str:
    """A lock file of the wheels in a folder, `but` one package: each by name, version and hash."""
    lines = []
    for wheel in sorted(folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        package = name.replace("_", "-").lower()
        if package != but:
            lines.append(f"{package}=={version} --hash=sha256:{checksums.sha256(wheel)}\n")
    return "".join(lines)


def _toolkit() -> bool:
    compiler = shutil.which("nvcc")
    if compiler is None:
        return False
    top = Path(compiler).resolve().parents[1]
    places = (top / "lib64", top / "targets/x86_64-linux/lib", Path("/usr/lib/x86_64-linux-gnu"))
    return any((place / "libcublas.so").exists() for place in places)


class Wheels:
    """Gets wheels through pip, which knows the site's package index, and keeps what it compiled."""

    def __init__(self, work: Path, say: Say) -> None:
        self._work = work
        self._say = say

    def _pip(self, *arguments: str | Path, what: str, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check", "--no-input"]
        run(command, what=what, env={**os.environ, **(env or {})}, shown=True)

    def runtime(self, pinned: Path, folder: Path, native: bool) -> None:
        """The wheels of the release's lock file; llama-cpp-python is compiled where no index has it.

        `native` takes pip's own copy of it, which was compiled for this machine's processor alone.
        """
        text = pinned.read_text(encoding="utf-8")
        if self._done(folder, text, native):
            self._say("Python packages: as they should be")
            return
        shutil.rmtree(folder, ignore_errors=True)
        entries = split(text)
        self._say(f"Python packages: {len(entries)} of {pinned.name}")
        rest = "".join(lines for name, lines in entries.items() if name != LLAMA)
        self._wheel(rest, folder, what="Python packages")
        if LLAMA in entries:
            self.llama(entries[LLAMA], folder, None if native else _PORTABLE)
        found, wanted = len(list(folder.glob("*.whl"))), len(entries)
        if found != wanted:
            raise BundleError(
                f"bundle: {folder} has {found} wheels for {wanted} packages; remove it, run again"
            )
        self._stamp_of(folder).write_text(self._stamp(folder, text, native))

    def _stamp_of(self, folder: Path) -> Path:
        return self._work / f"{folder.parent.name}-{folder.name}{_STAMP}"

    def _stamp(self, folder: Path, text: str, native: bool) -> str:
        return f"native: {native}\n{text}\n{lock(folder)}"

    def _done(self, folder: Path, text: str, native: bool) -> bool:
        stamp = self._stamp_of(folder)
        return stamp.is_file() and stamp.read_text() == self._stamp(folder, text, native)

    def _wheel(
        self, lines: str, folder: Path, what: str, *options: str, env: dict[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._work) as scratch:
            requirements = Path(scratch) / "requirements.txt"
            requirements.write_text(lines)
            made = Path(scratch) / "wheels"
            arguments = ["wheel", "--no-deps", "--require-hashes", "--no-build-isolation"]
            arguments += ["--wheel-dir", str(made)]
            self._pip(*arguments, "--requirement", requirements, *options, what=what, env=env)
            for wheel in sorted(made.glob("*.whl")):
                wheel.chmod(0o644)
                shutil.move(wheel, folder / wheel.name)

    def llama(self, lines: str, folder: Path, cmake: str | None) -> None:
        """Compiles llama-cpp-python with these CMake arguments, or takes what was compiled with them."""
        if cmake is None:
            self._wheel(lines, folder, "llama-cpp-python")
            return
        kept = self._work / re.sub(r"\W+", "-", f"llama {cmake}").lower()
        if not list(kept.glob("*.whl")):
            self._say(f"llama-cpp-python: compiling with {cmake} (about 8 minutes on two cores, once)")
            self._wheel(
                lines, kept, "compiling llama-cpp-python", "--no-cache-dir", env={"CMAKE_ARGS": cmake}
            )
        for wheel in kept.glob("*.whl"):
            shutil.copy(wheel, folder / wheel.name)

    def cuda(self, pinned: Path, folder: Path) -> bool:
        """A llama-cpp-python for NVIDIA GPUs, where this machine has CUDA's compiler; says if not."""
        entry = split(pinned.read_text(encoding="utf-8")).get(LLAMA)
        if entry is None or not _toolkit():
            self._say(
                "NO CUDA toolkit (nvcc with cuBLAS) here: the bundle's language model runs on CPUs only"
            )
            return False
        folder.mkdir(parents=True, exist_ok=True)
        self.llama(entry, folder, f"{_PORTABLE} -DGGML_CUDA=ON")
        return True

    def control(self, pinned: Path, folder: Path) -> None:
        """The wheels of Ansible for the control node."""
        text = pinned.read_text(encoding="utf-8")
        if self._done(folder, text, native=False):
            return
        shutil.rmtree(folder, ignore_errors=True)
        self._say("Ansible's Python packages, for the control node")
        self._wheel(text, folder, "Ansible's Python packages")
        self._stamp_of(folder).write_text(self._stamp(folder, text, native=False))

    def project(self, tree: Path, folder: Path) -> Path:
        """Tellerline's own wheel, from a copy of its tree (a build leaves files behind)."""
        folder.mkdir(parents=True, exist_ok=True)
        arguments = ["wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
        self._pip(*arguments, tree, what="Tellerline's wheel")
        (wheel,) = folder.glob("tellerline-*.whl")
        return wheel
