"""The release after the present one: the same packages, and this tree under the next number."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from hosts import ROOT

from tellerline.bundle import checksums, release
from tellerline.bundle.wheels import Wheels


def following(bundle: Path, folder: Path) -> dict[str, str]:
    """The site variables that name it. Everything is made below the folder."""
    present = release.version(ROOT)
    version = f"{present.rpartition('.')[0]}.{int(present.rpartition('.')[2]) + 1}"
    tree = _tree(folder / "tree", present, version)
    made = folder / f"tellerline-{version}"
    # Links, where nothing is written anew: packages and models are large.
    shutil.copytree(bundle, made, copy_function=os.link)
    for name in (
        "release.tar.gz",
        "control/site.tar.gz",
        "control/control-node",
        "bundle.json",
        "minisign.pub",
    ):
        (made / name).unlink(missing_ok=True)
    models = (bundle / "models" / "manifest.yml").read_text()
    release.build(tree, made, models, Wheels(folder / "work", print), print)
    described = json.loads((bundle / "bundle.json").read_text())
    (made / "bundle.json").write_text(json.dumps({**described, "version": version}))
    key = folder / "builder.key"
    public = key.with_suffix(".pub")
    subprocess.run(
        ["minisign", "-G", "-W", "-s", str(key), "-p", str(public)], check=True, capture_output=True
    )
    shutil.copy(public, made / "minisign.pub")
    checksums.write(made)
    checksums.sign(made, key, version)
    return {
        "tellerline_version": version,
        "tellerline_bundle": str(made),
        "tellerline_bundle_key": public.read_text().splitlines()[1],
    }


def _tree(tree: Path, present: str, version: str) -> Path:
    for path in release.tracked(ROOT):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tree / path)
    project = tree / "pyproject.toml"
    numbered = project.read_text().replace(f'version = "{present}"', f'version = "{version}"', 1)
    project.write_text(numbered)
    return tree
