"""Which fields of a Record hold what people said, and their redaction."""

from __future__ import annotations

import logging

from tellerline.rpc import session_pb2
from tellerline.session import redaction

log = logging.getLogger(__name__)

# Where a fact does not tell its language.
_LANGUAGES = ("en", "tr")
_WITHHELD = "[withheld]"


def redact_record(record: session_pb2.Record) -> None:
    """Takes cards, accounts, telephone numbers and national ids out of the texts of `record`, in place.

    A text that redaction fails on is withheld as a whole: nothing unredacted is stored.
    """
    kind = record.WhichOneof("fact")
    if kind == "turn_taken":
        turn = record.turn_taken
        languages = (turn.language,) if turn.language in _LANGUAGES else _LANGUAGES
        turn.heard = _redacted(turn.heard, languages)
        turn.said = _redacted(turn.said, languages)
        turn.played = _redacted(turn.played, languages)
    elif kind == "handed_over":
        record.handed_over.summary = _redacted(record.handed_over.summary, _LANGUAGES)


def _redacted(text: str, languages: tuple[str, ...]) -> str:
    try:
        for language in languages:
            text = redaction.redact(text, language)
    except Exception as error:
        log.error("redaction failed (%s); the text is withheld", type(error).__name__)
        return _WITHHELD
    return text
