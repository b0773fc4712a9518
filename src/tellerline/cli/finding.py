"""What `tellerline doctor` finds, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "advice", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what was found, and what to do about it unless it is good."""

    check: str
    level: Level
    found: str
    remedy: str = ""


def judged(check: str, found: str, good: bool, remedy: str, otherwise: Level = "bad") -> Finding:
    """A finding that is good, or else has a remedy."""
    return Finding(check, "good", found) if good else Finding(check, otherwise, found, remedy)
