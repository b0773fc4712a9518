"""MANIFEST.sha256: what is in a bundle, and the signature over it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from tellerline.bundle.commands import run
from tellerline.errors import BundleError

MANIFEST = "MANIFEST.sha256"
SIGNATURE = "MANIFEST.sha256.minisig"
# minisign's own comment; a signature file with another one is refused where a bundle is installed.
COMMENT = "signature from minisign secret key"


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def files(bundle: Path) -> Iterator[Path]:
    """Every file of the bundle but the manifest and its signature; raises BundleError for anything else."""
    for folder, names, filenames in os.walk(bundle):
        names.sort()
        for name in (*names, *filenames):
            if (Path(folder) / name).is_symlink():
                raise BundleError(f"bundle: {Path(folder) / name} is a link; a bundle holds plain files only")
        for filename in sorted(filenames):
            path = Path(folder) / filename
            if path.parent != bundle or filename not in (MANIFEST, SIGNATURE):
                yield path


def write(bundle: Path) -> int:
    """Writes the manifest, as `sha256sum` would; returns how many files it names."""
    lines = [f"{sha256(path)}  {path.relative_to(bundle)}\n" for path in files(bundle)]
    new = bundle / f".{MANIFEST}"
    new.write_text("".join(lines), encoding="utf-8")
    new.replace(bundle / MANIFEST)
    return len(lines)


def sign(bundle: Path, key: Path, version: str) -> None:
    """Signs the manifest with the builder's minisign key; minisign asks for its password if it has one."""
    if not key.is_file():
        raise BundleError(
            f"bundle: no minisign key {key}; make one, once, outside the repository: "
            f"minisign -G -s {key} -p {key.with_suffix('.pub')}"
        )
    (bundle / SIGNATURE).unlink(missing_ok=True)
    command: list[str | Path] = [
        "minisign",
        "-S",
        "-s",
        key,
        "-m",
        bundle / MANIFEST,
        "-x",
        bundle / SIGNATURE,
    ]
    run([*command, "-c", COMMENT, "-t", f"tellerline {version}"], what="signing", shown=True)
