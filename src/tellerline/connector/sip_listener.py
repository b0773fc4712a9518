"""What the SIP stack reports of its calls; pure words, no pjsua2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Invitation:
    """A new INVITE, before any answer but 100."""

    call: int
    seat: int
    sip_call_id: str
    caller: str
    called: str


@dataclass(frozen=True)
class Negotiated:
    """What offer and answer agreed on."""

    codec: str
    telephone_event: bool


class SipListener(Protocol):
    """What the stack reports, on the loop, in order per call."""

    def invited(self, invitation: Invitation) -> None: ...
    def media_changed(self, call: int, negotiated: Negotiated, held: bool) -> None: ...
    def confirmed(self, call: int, at_ns: int) -> None: ...
    def answer_failed(self, call: int) -> None: ...
    def digit(self, call: int, digit: str, duration_ms: int) -> None: ...
    def rtp_silent(self, call: int) -> None: ...
    def transfer_status(self, call: int, sip_status: int, final: bool) -> None: ...
    def refused_below(self, sip_status: int) -> None: ...
    def disconnected(self, call: int, sip_status: int, answered: bool) -> None: ...
