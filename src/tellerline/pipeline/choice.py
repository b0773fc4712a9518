"""A choice among intents as every language model is asked for it: question, schema, and what is believed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tellerline.errors import LanguageModelError

# A pick is a name in JSON; whoever says more than this is not picking.
TOKENS = 24


def question(text: str, among: Sequence[str]) -> str:
    """Asks which of `among` a caller means; `text` is quoted, so that it does not end the question."""
    quoted = json.dumps(text, ensure_ascii=False)
    return f"A bank's caller says: {quoted}. Which of these do they want: {', '.join(among)}?"


def schema(among: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an answer: no other words than `among`."""
    return {
        "type": "object",
        "properties": {"intent": {"type": "string", "enum": list(among)}},
        "required": ["intent"],
        "additionalProperties": False,
    }


def picked(answer: str, among: Sequence[str]) -> str:
    """The pick of an answer; "" for one that is not among them. Raises LanguageModelError for no JSON."""
    try:
        chosen = json.loads(answer)["intent"]
    except (ValueError, KeyError, TypeError) as error:
        raise LanguageModelError("language model: an answer that is no pick of an intent") from error
    return chosen if isinstance(chosen, str) and chosen in among else ""
