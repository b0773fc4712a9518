"""RTP packets (RFC 3550) and telephone events (RFC 4733), built and read without I/O."""

from __future__ import annotations

import struct
from typing import NamedTuple

RATE_HZ = 8000
FRAME_SAMPLES = 160
FRAME_NS = 20_000_000

_HEADER = struct.Struct("!BBHII")
DIGITS = "0123456789*#ABCD"
# An event ends with three copies of its last packet (RFC 4733 §2.5.1.4).
_END_COPIES = 3


class Packet(NamedTuple):
    """What the robot reads of a packet."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def build(payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """A packet without CSRCs, extension or padding."""
    head = _HEADER.pack(
        0x80, (0x80 if marker else 0) | payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc
    )
    return head + payload


def parse(data: bytes) -> Packet | None:
    """The packet in a datagram, or None where it is not RTP version 2 (RTCP and garbage included)."""
    if len(data) < 12 or data[0] >> 6 != 2 or 192 <= data[1] <= 223:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    start = 12 + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if start > end:
        return None
    return Packet(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[start:end])


class EventPacket(NamedTuple):
    """One packet of a telephone event: its payload, and whether it is the event's first."""

    payload: bytes
    marker: bool


def digit_packets(digit: str, duration_ms: int = 160, volume: int = 10) -> list[list[EventPacket]]:
    """The packets of one keypad digit, by 20 ms tick; the last tick carries the three end packets.

    Raises ValueError for what is no telephone digit.
    """
    event = DIGITS.find(digit.upper()) if len(digit) == 1 else -1
    if event < 0:
        raise ValueError(f"{digit!r} is not one of {DIGITS}")
    ticks = max(2, duration_ms // 20)
    plan = []
    for tick in range(1, ticks + 1):
        last = tick == ticks
        payload = struct.pack("!BBH", event, (0x80 if last else 0) | volume, tick * FRAME_SAMPLES)
        copies = _END_COPIES if last else 1
        plan.append([EventPacket(payload, tick == 1)] * copies)
    return plan
