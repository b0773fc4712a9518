"""A small bundle: one of every kind of file, and a way to damage it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

VERSION = "1.2.3"

# One of every kind of file a bundle has.
CONTENT = {
    "bundle.json": json.dumps({"version": VERSION}),
    "control/site.tar.gz": "playbooks",
    "control/wheels/ansible-1-py3-none-any.whl": "a wheel of the control node",
    "debs/InRelease": "a signed index",
    "debs/Packages": "an index",
    "debs/minisign_0.11-1_amd64.deb": "a package",
    "debs/tellerline.gpg": "a key",
    "licences.md": "# Licences",
    "models/voice/1.0/voice.onnx": "a model",
    "models/manifest.yml": "format: 1",
    "release.tar.gz": "the release",
    "requirements.lock": "six==1 --hash=sha256:00",
    "sbom.cdx.json": "{}",
    "wheels/six-1-py3-none-any.whl": "a wheel",
}


@dataclass(frozen=True)
class Signed:
    """A bundle, and the public key of who signed it."""

    folder: Path
    key: str

    def flip(self, name: str) -> None:
        """Changes one bit in the middle of a file."""
        path = self.folder / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
