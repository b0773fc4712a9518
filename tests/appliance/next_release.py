"""A bundle of the next version, made of a bundle that is there: the same code under another number."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

from tellerline.bundle import checksums


def version_of(bundle: Path) -> str:
    """The release a bundle was made for."""
    version: str = json.loads((bundle / "bundle.json").read_text())["version"]
    return version


def after(version: str) -> str:
    """The next version number."""
    major, minor, patch = version.split(".")
    return f"{major}.{minor}.{int(patch) + 1}"


def make(made: Path, folder: Path) -> tuple[Path, str]:
    """Writes the bundle into `folder`; returns it, and the key its signature is believed by."""
    old = version_of(made)
    new = after(old)
    bundle = folder / f"tellerline-{new}"
    shutil.copytree(made, bundle, copy_function=os.link)
    _replace(bundle / "bundle.json", (made / "bundle.json").read_bytes().replace(old.encode(), new.encode()))
    _replace(bundle / "release.tar.gz", _release((made / "release.tar.gz").read_bytes(), old, new))
    key = folder / "builder.key"
    public = key.with_suffix(".pub")
    subprocess.run(["minisign", "-G", "-W", "-s", key, "-p", public], check=True, capture_output=True)
    _replace(bundle / "minisign.pub", public.read_bytes())
    (bundle / checksums.MANIFEST).unlink()
    checksums.write(bundle)
    checksums.sign(bundle, key, new)
    return bundle, public.read_text().splitlines()[1]


def _replace(path: Path, content: bytes) -> None:
    # Its files are links to those of the bundle it is made of.
    path.unlink()
    path.write_bytes(content)


def _release(packed: bytes, old: str, new: str) -> bytes:
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(packed)) as source,
        tarfile.open(fileobj=out, mode="w:gz") as target,
    ):
        for member in source:
            file = source.extractfile(member)
            assert file is not None
            content = file.read()
            if member.name.endswith(".whl"):
                member.name, content = member.name.replace(old, new), _wheel(content, old, new)
                member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _wheel(packed: bytes, old: str, new: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("/METADATA"):
                content = re.sub(rb"(?m)^Version: .*$", f"Version: {new}".encode(), content, count=1)
            if name.endswith("/RECORD"):
                content = content.replace(f"tellerline-{old}.".encode(), f"tellerline-{new}.".encode())
            target.writestr(name.replace(f"tellerline-{old}.", f"tellerline-{new}."), content)
    return out.getvalue()
