"""Named SQL statements out of one file a service: `-- name: what it is for`, then the statement."""

from __future__ import annotations

import re
from pathlib import Path

# The purpose may go on in comments below.
_NAME = re.compile(r"^-- (?P<name>[a-z_]+): (?P<purpose>\S.*(?:\n-- .*)*)$", re.MULTILINE)


def load(path: Path) -> dict[str, bytes]:
    """The statements of `path` by name. Bytes, since psycopg takes no query that was put together."""
    text = path.read_text(encoding="utf-8")
    found = list(_NAME.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    statements = {
        match["name"]: text[match.end() : end].strip().rstrip(";").encode()
        for match, end in zip(found, ends, strict=True)
    }
    if len(statements) != len(found):
        raise ValueError(f"{path}: a name is given twice")
    return statements
