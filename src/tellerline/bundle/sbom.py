"""What is in a bundle, for people who must know: SBOM (CycloneDX 1.5) and licences.md."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tellerline.bundle import checksums
from tellerline.bundle.commands import run
from tellerline.engine.manifest import Manifest

_CLASSIFIER = "License :: OSI Approved :: "
# Packages whose metadata names no licence; read in their sources.
_READ_IN_SOURCES = {"pjsua2-python": "GPL-2.0-or-later"}
_NAMESPACE = uuid.UUID("a3f6b1f8-6d2c-4a51-9d47-52b6a0a3c1de")


@dataclass(frozen=True)
class Component:
    """One part: where it lies in the bundle, what it is, under which licence."""

    kind: str
    name: str
    version: str
    licence: str
    purl: str
    file: str
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """The part as CycloneDX has it."""
        component: dict[str, Any] = {
            "type": "machine-learning-model" if self.kind == "model" else "library",
            # The same package may be there twice: for servers, and for the control node.
            "bom-ref": self.file,
            "name": self.name,
            "version": self.version,
            "licenses": [{"license": {"name": self.licence}}],
            "hashes": [{"alg": "SHA-256", "content": self.sha256}],
            "properties": [{"name": "tellerline:file", "value": self.file}],
        }
        if self.purl:
            component["purl"] = self.purl
        return component


def python(folder: Path, bundle: Path) -> Iterator[Component]:
    """The wheels of a folder, from their own metadata."""
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as content:
            inside = next(name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
            metadata = HeaderParser().parsestr(content.read(inside).decode(errors="replace"))
        name, version = str(metadata["Name"]), str(metadata["Version"])
        purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version)}"
        file, digest = str(wheel.relative_to(bundle)), checksums.sha256(wheel)
        yield Component("python", name, version, licence_of(metadata), purl, file, digest)


def licence_of(metadata: Any) -> str:
    """What a Python package's metadata says of its licence, on one line."""
    if expression := metadata["License-Expression"]:
        return str(expression)
    text = str(metadata["License"] or "").strip()
    if text and text.upper() not in ("UNKNOWN", "DUAL LICENSE") and len(text) < 60 and "\n" not in text:
        return text
    classified = [
        c.removeprefix(_CLASSIFIER) for c in metadata.get_all("Classifier") or () if _CLASSIFIER in c
    ]
    return ", ".join(classified) or _READ_IN_SOURCES.get(str(metadata["Name"]).lower(), "see its sources")


def debian(folder: Path, bundle: Path) -> Iterator[Component]:
    """The Debian packages of a folder; licences from the copyright file inside each."""
    for package in sorted(folder.glob("*.deb")):
        asked = run(
            ["dpkg-deb", "-W", "--showformat", "${Package}\n${Version}\n${Architecture}\n", package],
            what=package.name,
        )
        name, version, architecture = asked.split("\n")[:3]
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}&distro=debian-12"
        file, digest = str(package.relative_to(bundle)), checksums.sha256(package)
        yield Component("debian", name, version, _of_copyright(package, name), purl, file, digest)


def _of_copyright(package: Path, name: str) -> str:
    # The archive is binary, and `run` speaks text.
    packed = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as content:
        try:
            member = content.extractfile(f"./usr/share/doc/{name}/copyright")
            text = member.read().decode(errors="replace") if member else ""
        except KeyError:
            # A package of a source may link to the documentation of its sibling.
            text = ""
    named = sorted(set(re.findall(r"^License:\s*(\S.*?)\s*$", text, flags=re.MULTILINE)))
    return ", ".join(named[:12]) or f"see /usr/share/doc/{name}/copyright"


def models(manifest: Manifest) -> Iterator[Component]:
    """The files of the manifest's models."""
    for name, model in manifest.models.items():
        for file in model.files:
            at = f"models/{name}/{model.version}/{file.name}"
            yield Component("model", name, model.version, model.licence, "", at, file.sha256)


def collect(bundle: Path, manifest: Manifest) -> list[Component]:
    """Everything in the bundle that is not Tellerline's own."""
    found = [*python(bundle / "wheels", bundle), *python(bundle / "wheels-cuda", bundle)]
    found += [*python(bundle / "control" / "wheels", bundle), *debian(bundle / "debs", bundle)]
    return [*found, *models(manifest)]


def cyclonedx(components: Iterable[Component], version: str) -> str:
    """The SBOM; the same parts give the same text."""
    parts = [component.as_json() for component in components]
    text = json.dumps(parts, sort_keys=True)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, version + text)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": f"tellerline@{version}",
                "name": "tellerline",
                "version": version,
                "licenses": [{"license": {"id": "GPL-3.0-or-later"}}],
            }
        },
        "components": parts,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def licences(components: Iterable[Component], version: str) -> str:
    """licences.md: every part with its licence."""
    titles = {"python": "Python packages", "debian": "Debian packages", "model": "Models"}
    lines = [f"# Licences of the bundle of Tellerline {version}", "", "Tellerline is GPL-3.0-or-later.", ""]
    found = list(components)
    for kind, title in titles.items():
        rows = sorted({(c.name, c.version, c.licence) for c in found if c.kind == kind})
        lines += [f"## {title}", "", "| name | version | licence |", "|---|---|---|"]
        lines += [f"| {name} | {pinned} | {licence.replace('|', '/')} |" for name, pinned, licence in rows]
        lines.append("")
    return "\n".join(lines)
