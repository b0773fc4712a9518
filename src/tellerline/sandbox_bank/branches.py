"""Where the sandbox bank has branches, and which is meant."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from tellerline.sandbox_bank import seed

_NEAREST = 5


def find(branches: Sequence[seed.Branch], place: str, language: str) -> dict[str, Any]:
    """Branches with words of `place` in name or address, most words first; "": the language's main branch."""
    words = _folded(place).split()
    if not words:
        main = next((b for b in branches if b.language == language), branches[0])
        return {"branches": [_shown(main)]}
    scores = [(sum(word in _folded(f"{b.name} {b.address}") for word in words), b) for b in branches]
    nearest = sorted((pair for pair in scores if pair[0]), key=lambda pair: -pair[0])
    return {"branches": [_shown(branch) for _, branch in nearest[:_NEAREST]]}


def _folded(text: str) -> str:
    """Lower case without accents; Turkish ı and İ are i, as callers and recognisers mix them."""
    plain = unicodedata.normalize("NFD", text.replace("İ", "i").replace("ı", "i").casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _shown(branch: seed.Branch) -> dict[str, Any]:
    days = {weekday: branch.hours.weekdays for weekday in range(1, 6)}
    if branch.hours.saturday:
        days[6] = branch.hours.saturday
    hours = [{"weekday": day, "opens": opens, "closes": closes} for day, (opens, closes) in days.items()]
    return {"name": branch.name, "address": branch.address, "hours": hours}
