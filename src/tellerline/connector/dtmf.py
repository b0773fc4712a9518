"""Keypad digits: where one goes, and dark input, which leaves the connector only towards banking.

RFC 4733 events are decoded, and their retransmissions dropped, by the SIP stack; so are SIP INFO bodies.

A key is *withheld* until somebody has said what keys are for. What was typed ahead of dark input counts
towards it; what was typed ahead of a menu is dropped unseen, since it may have been a secret typed
too early. After dark input, and while a pipeline is dead, keys are withheld again.

Zero is a digit in the dark, so the way out is another: `#` with nothing typed, or `**`. Neither counts
when typed ahead, of a question that was not heard yet; nor does the `#` after an input that its last
possible digit had ended already.
"""

from __future__ import annotations

import enum
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


@dataclass(frozen=True)
class Typist:
    """Whose keys they are."""

    call_id: str
    # User part of From: failures count per caller as well as per customer.
    caller: str


class SecretSink(Protocol):
    """Where dark input goes: the service that checks it."""

    async def check(self, typist: Typist, purpose: str, digits: bytearray) -> pb.DarkInputResult.Outcome:
        """What became of `digits` (ASCII). The caller zeroes them afterwards; keep no copy."""
        ...


@dataclass(frozen=True)
class DarkRequest:
    """What to collect; mirrors the wire's DarkInputRequest."""

    request_id: int
    purpose: str
    min_digits: int
    max_digits: int
    timeout_ms: int


class Destination(enum.Enum):
    """Where a pressed key goes."""

    WITHHELD = "withheld"
    MENU = "menu"
    COLLECTED = "collected"
    # Collected, and the last of its input.
    COMPLETED = "completed"
    # The caller does not want to type.
    CANCELLED = "cancelled"


class DarkInput:
    """Digits being collected for one request. `#` ends early, `*` starts over; `#` alone and `**` cancel."""

    # Longer than any secret that is typed, so that a wrong request cannot grow memory.
    LIMIT_DIGITS = 32

    def __init__(self, request: DarkRequest) -> None:
        self.request = request
        self._most = max(1, min(request.max_digits or self.LIMIT_DIGITS, self.LIMIT_DIGITS))
        # At its full length from the start: a growing bytearray leaves copies in freed memory.
        self._digits = bytearray(self._most)
        self._count = 0
        self._starred = False

    @property
    def full(self) -> bool:
        """Whether there is room for no further digit."""
        return self._count >= self._most

    def press(self, digit: str) -> Destination:
        """Takes one key."""
        starred, self._starred = self._starred, digit == "*"
        if digit == "*":
            self.wipe()
            return Destination.CANCELLED if starred else Destination.COLLECTED
        if digit == "#":
            if not self._count:
                return Destination.CANCELLED
            return Destination.COMPLETED if self._count >= self.request.min_digits else Destination.COLLECTED
        if digit.isdigit():
            self._digits[self._count] = ord(digit)
            self._count += 1
        return Destination.COMPLETED if self.full else Destination.COLLECTED

    async def submit(self, typist: Typist, sink: SecretSink) -> pb.DarkInputResult.Outcome:
        """Hands the digits to `sink` and zeroes them, whatever happens."""
        handed = self._digits[: self._count]
        try:
            return await sink.check(typist, self.request.purpose, handed)
        finally:
            handed[:] = bytes(len(handed))
            self.wipe()

    def wipe(self) -> None:
        """Zeroes what was collected."""
        self._digits[:] = bytes(len(self._digits))
        self._count = 0


class Keypad:
    """What one caller's keys are for. No I/O, no clock."""

    # What is typed ahead of more than a customer number and a PIN is no longer meant.
    LIMIT_AHEAD = 32

    def __init__(self) -> None:
        self.dark: DarkInput | None = None
        self._menu = False
        # The last input ended with the last digit it had room for: a hash may still come after it.
        self._hash_due = False
        # At its full length from the start, as DarkInput's.
        self._ahead = bytearray(self.LIMIT_AHEAD)
        self._ahead_count = 0

    def press(self, digit: str) -> Destination:
        """Takes one key."""
        hash_due, self._hash_due = self._hash_due, False
        if hash_due and digit == "#":
            return Destination.WITHHELD
        if self.dark is not None:
            return self.dark.press(digit)
        if self._menu:
            return Destination.MENU
        if self._ahead_count < self.LIMIT_AHEAD:
            self._ahead[self._ahead_count] = ord(digit)
            self._ahead_count += 1
        return Destination.WITHHELD

    def open_menu(self) -> None:
        """Keys go up from here on. Dark input must have been ended."""
        self._forget_ahead()
        self._menu = True

    def begin(self, request: DarkRequest) -> bool:
        """Starts dark input with what was typed ahead; True when that already completes it."""
        self._menu = False
        self.dark = DarkInput(request)
        taken, complete = 0, False
        while taken < self._ahead_count and not complete:
            complete = self.dark.press(chr(self._ahead[taken])) is Destination.COMPLETED
            taken += 1
        rest = self._ahead_count - taken
        self._ahead[:rest] = self._ahead[taken : self._ahead_count]
        self._ahead[rest:] = bytes(self.LIMIT_AHEAD - rest)
        self._ahead_count = rest
        return complete

    def end(self) -> DarkInput | None:
        """Takes the dark input out, complete or not; keys are withheld from here on."""
        dark, self.dark = self.dark, None
        self._hash_due = dark is not None and dark.full
        return dark

    def close_menu(self) -> None:
        """Keys are withheld from here on; dark input goes on."""
        self._menu = False

    def wipe(self) -> None:
        """Zeroes everything that was typed."""
        if self.dark is not None:
            self.dark.wipe()
            self.dark = None
        self._forget_ahead()
        self._menu = False

    def _forget_ahead(self) -> None:
        self._ahead[:] = bytes(self.LIMIT_AHEAD)
        self._ahead_count = 0
