"""What folders hold that a running program writes to."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any


def held(folder: Path, pattern: str = "*") -> dict[Path, bytes]:
    """The files below `folder` and what is in each. One that its program removes meanwhile is left out."""
    found = {}
    for path in sorted(folder.rglob(pattern)):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                found[path] = path.read_bytes()
    return found


def spooled(spool: Path) -> list[dict[str, Any]]:
    """The call records of a connector's spool, whatever their state."""
    return [json.loads(data) for data in held(spool, "*.json").values()]
