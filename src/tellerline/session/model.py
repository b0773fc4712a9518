"""What the session service knows of a call, as operators, desktops and pipelines are shown it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class PastTurn:
    """What the caller said, and what of the answer was played; both redacted."""

    heard: str
    played: str


@dataclass(frozen=True)
class Call:
    """One call at one version. `state` is "open", "closed" or "lost"; turns are oldest first, the last 20."""

    call_id: str
    lane: str
    state: str
    reason: str
    opened_unix_ms: int
    closed_unix_ms: int
    version: int
    language: str
    phase: str
    state_json: str
    turns: int
    intents: tuple[str, ...]
    handover_summary: str
    last_turns: tuple[PastTurn, ...]

    def to_json(self) -> str:
        """As the views keep it."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Call:
        """The reverse of `to_json`. Raises ValueError, TypeError or KeyError for anything else."""
        data: dict[str, Any] = json.loads(text)
        data["intents"] = tuple(data["intents"])
        data["last_turns"] = tuple(PastTurn(**turn) for turn in data["last_turns"])
        return cls(**data)


def unix_ms(at: datetime | None) -> int:
    """Milliseconds since 1970; 0 for None."""
    return round(at.timestamp() * 1000) if at is not None else 0
