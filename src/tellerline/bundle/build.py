"""Builds a bundle, step by step; run again it does only what is not done yet."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tellerline.bundle import checksums, debs, models, release, sbom, wanted
from tellerline.bundle.commands import run
from tellerline.bundle.debs import Apt
from tellerline.bundle.models import Origins
from tellerline.bundle.wheels import LLAMA, Wheels, lock
from tellerline.engine import manifest
from tellerline.engine.store import ModelStore
from tellerline.errors import BundleError

Say = Callable[[str], None]

VERIFIER = Path("roles/release/module_utils/tellerline_bundle.py")


@dataclass(frozen=True)
class Order:
    """What is asked of a build."""

    # The checkout.
    top: Path
    # Folder that gets tellerline-<version>/.
    out: Path
    # Downloads, compiled wheels: what a second build takes from the first.
    work: Path
    # minisign's secret key, outside the repository.
    key: Path
    # Where models are or are taken to.
    store: Path
    # Model names; none: every model of the starter manifest that is not optional.
    models: tuple[str, ...] = ()
    # Where models of models/production.yml come from.
    origins: Origins = field(default_factory=Origins)
    # APT sources, other than this machine's Debian.
    sources: tuple[Path, ...] = ()
    # Folders of .deb files: OpenSIPS, a GPU driver.
    folders: tuple[Path, ...] = ()
    # Debian packages that no role names (an operator's tools).
    packages: tuple[str, ...] = ()
    # Take wheels compiled for this machine's own processor.
    native: bool = False


def build(order: Order, say: Say) -> Path:
    """Makes the bundle and verifies it as a control node would; returns its folder."""
    _fit(order)
    version = release.version(order.top)
    bundle = order.out / f"tellerline-{version}"
    (bundle / "control").mkdir(parents=True, exist_ok=True)
    order.work.mkdir(parents=True, exist_ok=True)
    # From here on the folder is no bundle, until it is whole again.
    for name in (checksums.MANIFEST, checksums.SIGNATURE):
        (bundle / name).unlink(missing_ok=True)

    say("1 of 6: Debian packages")
    missing = _debian(order, bundle, version, say)
    say("2 of 6: Python packages")
    wheels = Wheels(order.work, say)
    cuda = _python(order, bundle, wheels, say)
    say("3 of 6: models")
    store = ModelStore(order.store, manifest.load(order.top / "models/starter.yml"))
    production = order.top / "models/production.yml"
    taken = models.lay_down(
        store, production, order.models, bundle / "models", order.work, order.origins, say
    )
    (bundle / "models/manifest.yml").write_text(models.written(taken), encoding="utf-8")
    say("4 of 6: the release")
    release.build(order.top, bundle, models.written(taken), wheels, say)
    say("5 of 6: what is in it")
    components = sbom.collect(bundle, taken)
    (bundle / "sbom.cdx.json").write_text(sbom.cyclonedx(components, version), encoding="utf-8")
    (bundle / "licences.md").write_text(sbom.licences(components, version), encoding="utf-8")
    _describe(order, bundle, version, missing, cuda)
    say("6 of 6: checksums and signature")
    shutil.copy(order.key.with_suffix(".pub"), bundle / "minisign.pub")
    named = checksums.write(bundle)
    checksums.sign(bundle, order.key, version)
    public = bundle / "minisign.pub"
    verifier = [sys.executable, str(order.top / VERIFIER), str(bundle), "--key-file", str(public)]
    say(run(verifier, what="verifying the bundle").strip())
    size = sum(path.stat().st_size for path in checksums.files(bundle))
    say(f"{bundle}: {named} files, {size / 1e6:.0f} MB")
    for name in missing:
        say(f"NOT IN THIS BUNDLE: {name} (no source has it): what needs it refuses to be installed")
    return bundle


def _fit(order: Order) -> None:
    # Wheels and packages are for the machine's own Debian and Python: those of another would install nowhere.
    release_of = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    here = release_of.get("ID"), release_of.get("VERSION_ID"), platform.machine(), sys.version_info[:2]
    if here != ("debian", "12", "x86_64", (3, 11)):
        raise BundleError(f"bundle: this machine is {here}; build on Debian 12, x86_64, with its Python 3.11")
    if not order.key.is_file() or not order.key.with_suffix(".pub").is_file():
        public = order.key.with_suffix(".pub")
        raise BundleError(
            f"bundle: no minisign key {order.key} with {public.name} beside it; make one, once, outside the "
            f"repository: minisign -G -s {order.key} -p {public}"
        )


def _debian(order: Order, bundle: Path, version: str, say: Say) -> tuple[str, ...]:
    roles = order.top / "roles"
    named = wanted.packages(roles) if roles.is_dir() else {}
    if order.packages:
        named["(asked for)"] = order.packages
    apt = Apt(order.work, order.sources, order.folders, say)
    apt.update()
    closure = apt.closure(named)
    debs.repository(bundle / "debs", apt, closure.files, version, say)
    return closure.missing


def _python(order: Order, bundle: Path, wheels: Wheels, say: Say) -> bool:
    wheels.runtime(order.top / "requirements.lock", bundle / "wheels", order.native)
    (bundle / "requirements.lock").write_text(lock(bundle / "wheels"))
    cuda = wheels.cuda(order.top / "requirements.lock", bundle / "wheels-cuda")
    (bundle / "requirements-cuda.lock").unlink(missing_ok=True)
    if cuda:
        # Without what wheels-cuda/ has in its stead, which hosts install by its path.
        (bundle / "requirements-cuda.lock").write_text(lock(bundle / "wheels", but=LLAMA))
    ansible = order.top / "requirements-ansible.lock"
    if ansible.is_file():
        wheels.control(ansible, bundle / "control" / "wheels")
        (bundle / "control" / "requirements.lock").write_text(lock(bundle / "control" / "wheels"))
    else:
        say("NO requirements-ansible.lock: the bundle carries no Ansible for the control node")
    return cuda


def _describe(order: Order, bundle: Path, version: str, missing: tuple[str, ...], cuda: bool) -> None:
    described = {
        "version": version,
        "debian": "12",
        "python": "3.11",
        "architecture": "amd64",
        "missing": list(missing),
        "cuda": cuda,
        # Processor features that the compiled wheels ask for.
        "processor": _flags() if order.native else ["avx2", "bmi2", "f16c", "fma"],
    }
    (bundle / "bundle.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def _flags() -> list[str]:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("flags"):
            features = line.partition(":")[2].split()
            return sorted(name for name in features if name.startswith(("avx", "amx", "bmi", "f16c", "fma")))
    return []
