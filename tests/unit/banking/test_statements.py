"""The named statements: each is used, and each that is used is there."""

from __future__ import annotations

import inspect
import re

from tellerline.banking import postgres, tables
from tellerline.database import queries


def test_every_statement_is_used_and_known() -> None:
    """A misspelt name would show only when a caller needs it."""
    used = set(re.findall(r"statements\.(?:do|rows|row)\(\s*\"(\w+)\"", inspect.getsource(tables)))
    assert used == set(queries.load(postgres._QUERIES))
