"""Keypad digits, and dark input, which never leaves the connector as digits.

RFC 4733 events are decoded, and their retransmissions dropped, by the SIP stack; so are SIP INFO bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tellerline.rpc import conversation_pb2 as pb

KEYS = frozenset("0123456789*#ABCD")
# RFC 4733 section 3.2: events 10 and 11 are star and hash; some gateways write the number in INFO.
_NUMBERED = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}

Outcome = pb.DarkInputResult.Outcome


def key(text: str) -> str | None:
    """The key `text` names, or None."""
    name = _NUMBERED.get(text, text.upper())
    return name if name in KEYS else None


class SecretSink(Protocol):
    """Where dark input goes: the service that checks it."""

    async def check(self, call_id: str, purpose: str, digits: bytearray) -> pb.DarkInputResult.Outcome:
        """What became of `digits` (ASCII). The caller zeroes them afterwards; keep no copy."""
        ...


class NoBanking:
    """The sink of a lane that has no banking service."""

    async def check(self, call_id: str, purpose: str, digits: bytearray) -> pb.DarkInputResult.Outcome:
        """Always UNAVAILABLE."""
        return Outcome.UNAVAILABLE


@dataclass(frozen=True)
class DarkRequest:
    """What to collect; mirrors the wire's DarkInputRequest."""

    request_id: int
    purpose: str
    min_digits: int
    max_digits: int
    timeout_ms: int


class DarkInput:
    """Digits being collected for one request. `#` ends early, `*` starts over."""

    # Longer than any secret that is typed, so that a wrong request cannot grow memory.
    LIMIT_DIGITS = 32

    def __init__(self, request: DarkRequest) -> None:
        self.request = request
        self._most = max(1, min(request.max_digits or self.LIMIT_DIGITS, self.LIMIT_DIGITS))
        # At its full length from the start: a growing bytearray leaves copies in freed memory.
        self._digits = bytearray(self._most)
        self._count = 0

    def press(self, digit: str) -> bool:
        """Takes one key; True when the input is complete."""
        if digit == "#":
            return self._count >= self.request.min_digits
        if digit == "*":
            self.wipe()
        elif digit.isdigit():
            self._digits[self._count] = ord(digit)
            self._count += 1
        return self._count >= self._most

    async def submit(self, call_id: str, sink: SecretSink) -> pb.DarkInputResult.Outcome:
        """Hands the digits to `sink` and zeroes them, whatever happens."""
        handed = self._digits[: self._count]
        try:
            return await sink.check(call_id, self.request.purpose, handed)
        finally:
            handed[:] = bytes(len(handed))
            self.wipe()

    def wipe(self) -> None:
        """Zeroes what was collected."""
        self._digits[:] = bytes(len(self._digits))
        self._count = 0
