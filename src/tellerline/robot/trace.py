"""What a call leaves behind for measuring: packets with their times, and marks of what the caller did.

All times are CLOCK_MONOTONIC nanoseconds. Sent packets are stamped as they are handed to the kernel,
received ones by the kernel as they arrive (SO_TIMESTAMPNS), so neither Python's scheduling nor a
decoder or jitter buffer stands between the wire and the figure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tellerline.robot.g711 import Samples


@dataclass(frozen=True)
class Line:
    """One rendered utterance, S16 mono 8,000 Hz, and what it says."""

    said: str
    samples: Samples


@dataclass
class Mark:
    """One thing the caller did. `turn` is the index of the scenario turn it belongs to."""

    turn: int
    kind: str  # "say", "interrupt", "digits", "hold", "unhold", "wait", "hang_up"
    started_ns: int
    said: str = ""
    # Indexes into `sent` of the line's first packet and the one behind its last.
    first_packet: int = -1
    end_packet: int = -1
    # First audible and last audible sample of the line (within 40 dB of its peak), by packet send time.
    speech_started_ns: int = 0
    speech_ended_ns: int = 0
    # An interruption found nothing to interrupt.
    missed: bool = False


@dataclass
class CallTrace:
    """One call as the caller's end of the wire saw it."""

    name: str
    sip_call_id: str = ""
    status: int = 0
    invited_ns: int = 0
    acknowledged_ns: int = 0
    ended_ns: int = 0
    ended_by: str = ""  # "bot", "caller", "robot" (time limit), "" never answered
    codec: str = "PCMU"
    # Where a REFER sent this call, with the headers it asked for (RFC 3515, RFC 7433); "" without one.
    referred_to: str = ""
    sent_ns: list[int] = field(default_factory=list)
    sent: list[Samples] = field(default_factory=list)
    arrived_ns: list[int] = field(default_factory=list)
    datagrams: list[bytes] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    # Send times that missed their 20 ms schedule by more than 5 ms: the robot itself was held up.
    late_sends: int = 0
    process_cpu_seconds: float = 0.0

    @property
    def answered(self) -> bool:
        """Whether the call was acknowledged."""
        return self.acknowledged_ns > 0


def speech_bounds(samples: Samples) -> tuple[int, int]:
    """First and last sample within 40 dB of the peak, the last inclusive; (0, len-1) of silence."""
    magnitude = np.abs(samples.astype(np.int32))
    peak = int(magnitude.max()) if len(samples) else 0
    if peak == 0:
        return 0, max(0, len(samples) - 1)
    loud = np.flatnonzero(magnitude * 100 >= peak)
    return int(loud[0]), int(loud[-1])
