"""Passwords of the servers' users: one a file, for its owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


class Passwords:
    """The passwords in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, name: str) -> Path:
        """Where the password of `name` is."""
        return self._folder / f"{name}.password"

    def read(self, name: str) -> str:
        """The password of `name`."""
        return self.file(name).read_text(encoding="utf-8").strip()

    def make(self, name: str) -> None:
        """Makes one where there is none."""
        if not self.file(name).exists():
            write_private(self.file(name), secrets.token_urlsafe(24) + "\n")


def write_private(path: Path, text: str) -> None:
    """Writes a file for its owner alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
