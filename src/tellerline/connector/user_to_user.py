"""User-to-User information (RFC 7433): the reference by which an agent's desktop finds the call."""

from __future__ import annotations

import re

# ISDN's user-user information element holds 128 octets, and gateways cut there (RFC 7434 section 7).
_LIMIT_CHARACTERS = 128
_TOKEN = r"[A-Za-z0-9.!%*_+`'~-]+"
_REFERENCE = re.compile(_TOKEN)
# uui-value (RFC 7433 section 4.1), without quoted strings: a reference needs none, and a summary would.
_VALUE = re.compile(rf"{_TOKEN}(;{_TOKEN}={_TOKEN})+")


def value(text: str) -> str | None:
    """The header's value for what a pipeline gave: a reference, or a value with its parameters.

    A reference is sent as readable text, for the application at the other end. None where `text` is
    neither: prose has no place in a header that every hop can read.
    """
    if len(text) > _LIMIT_CHARACTERS:
        return None
    if _REFERENCE.fullmatch(text):
        return f"{text};encoding=ascii;purpose=app"
    return text if _VALUE.fullmatch(text) else None
