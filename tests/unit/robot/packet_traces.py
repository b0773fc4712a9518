"""Synthetic calls: packets made of levels, at arrival times of the test's choosing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from tellerline.robot import rtp
from tellerline.robot.g711 import PCMU
from tellerline.robot.trace import CallTrace, Mark

MS = 1_000_000
ACK_NS = 5_000 * MS


def silent() -> bytes:
    """20 ms of silence."""
    return PCMU.encode(np.zeros(160, np.int16))


def loud(first: int = 0, last: int = 159, level: int = 8000) -> bytes:
    """20 ms with sound from sample `first` to `last`, of noise-like alternation."""
    samples = np.zeros(160, np.int16)
    samples[first : last + 1] = np.random.default_rng(1).choice([-level, level], last - first + 1)
    return PCMU.encode(samples)


def call(
    packets: int,
    sounds: Mapping[int, bytes] | None = None,
    *,
    missing: Iterable[int] = (),
    jitter_ms: Mapping[int, float] | None = None,
) -> CallTrace:
    """A call of so many packets, 20 ms apart from 10 ms after the ACK on."""
    trace = CallTrace("test", acknowledged_ns=ACK_NS, status=200)
    for index in range(packets):
        if index in set(missing):
            continue
        payload = (sounds or {}).get(index, silent())
        trace.datagrams.append(rtp.build(0, False, 65530 + index, 160 * index, 9, payload))
        late = (jitter_ms or {}).get(index, 0.0)
        trace.arrived_ns.append(at_packet(index) + round(late * MS))
    trace.ended_ns = at_packet(packets)
    trace.ended_by = "caller"
    return trace


def at_packet(index: int) -> int:
    """When packet `index` arrives without jitter."""
    return ACK_NS + (10 + 20 * index) * MS


def spoke(start_packet: int, end_packet: int, kind: str = "say") -> Mark:
    """The caller spoke from the arrival of one packet to that of another."""
    start, end = at_packet(start_packet), at_packet(end_packet)
    return Mark(0, kind, start, "words", speech_started_ns=start, speech_ended_ns=end)
