"""Which fields of a Record hold what people said, and their redaction."""

from __future__ import annotations

import json
import logging
from typing import Any

from tellerline.rpc import session_pb2
from tellerline.session import redaction

log = logging.getLogger(__name__)

# Where a fact does not tell its language.
_LANGUAGES = ("en", "tr")
_WITHHELD = "[withheld]"
# Under this name a conversation's state keeps a caller's words, at any depth.
_WORDS = "text"


def redact_record(record: session_pb2.Record) -> None:
    """Takes cards, accounts, telephone numbers and national ids out of the texts of `record`, in place.

    A text that redaction fails on is withheld as a whole: nothing unredacted is stored.
    """
    kind = record.WhichOneof("fact")
    if kind == "turn_taken":
        turn = record.turn_taken
        languages = (turn.language,) if turn.language in _LANGUAGES else _LANGUAGES
        turn.heard = redacted(turn.heard, *languages)
        turn.said = redacted(turn.said, *languages)
        turn.played = redacted(turn.played, *languages)
    elif kind == "handed_over":
        record.handed_over.summary = redacted(record.handed_over.summary, *_LANGUAGES)
    elif kind == "context_saved":
        context = record.context_saved
        languages = (context.language,) if context.language in _LANGUAGES else _LANGUAGES
        context.state_json = _redacted_state(context.state_json, languages)


def _redacted_state(state_json: str, languages: tuple[str, ...]) -> str:
    """The pipeline has redacted what it knows to be a caller's; this is for what it may have forgotten.

    Sentences only: a bank's reference has no spaces, and must come back as it was.
    """

    def walked(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: walked(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [walked(item, name) for item in value]
        if isinstance(value, str) and (name == _WORDS or any(map(str.isspace, value))):
            return redacted(value, *languages)
        return value

    if not state_json:
        return state_json
    try:
        state = json.loads(state_json)
        clean = walked(state)
    except (ValueError, RecursionError):
        log.error("a conversation's state cannot be read; it is withheld")
        return "{}"
    return state_json if clean == state else json.dumps(clean, ensure_ascii=False, separators=(",", ":"))


def redacted(text: str, *languages: str) -> str:
    """`text` without the numbers that name anybody; withheld as a whole where redaction fails."""
    try:
        for language in languages:
            text = redaction.redact(text, language)
    except Exception as error:
        log.error("redaction failed (%s); the text is withheld", type(error).__name__)
        return _WITHHELD
    return text
