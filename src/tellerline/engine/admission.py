"""Which calls the engine serves: leased slots, withheld while turns take too long."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tellerline.monitoring import metrics
from tellerline.settings import AdmissionSettings

LEASE_SECONDS = 15.0
# Of a call that was only admitted. One that ends before it is attached (CANCEL, 488) says nothing here, and
# a burst of those would hold every slot; one that is attached asks again within a second.
FIRST_LEASE_SECONDS = 3.0
# Turns older than this say nothing about now.
_WINDOW_SECONDS = 30.0
# Fewer turns than this are an accident, not a load.
_FEWEST_TURNS = 4
_QUANTILE = 0.9
_RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True)
class Reservation:
    """The answer to a call that asks for a slot."""

    reserved: bool
    reason: str
    free_slots: int
    retry_after_seconds: int = 0


class TurnTimes:
    """What a turn costs here lately: the slow end of each stage, queueing included, summed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, deque[tuple[float, float]]] = {}

    def observe(self, stage: str, seconds: float) -> None:
        """Notes that a caller waited `seconds` for a stage."""
        self._seen.setdefault(stage, deque(maxlen=256)).append((self._clock(), seconds))

    def turn_seconds(self) -> float:
        """The 90th percentile of each stage in the last 30 s, added up; 0 while too little is known."""
        return sum(self._slow(stage) for stage in self._seen)

    def _slow(self, stage: str) -> float:
        seen = self._seen[stage]
        while seen and seen[0][0] < self._clock() - _WINDOW_SECONDS:
            seen.popleft()
        if len(seen) < _FEWEST_TURNS:
            return 0.0
        ordered = sorted(seconds for _, seconds in seen)
        return ordered[min(len(ordered) - 1, int(_QUANTILE * len(ordered)))]


class Slots:
    """Leases of at most `max_calls` calls: 3 s from a call's first Reserve, 15 s from each later one.

    A call's Reserve is a later one when its last was within 15 s, whether or not the lease lapsed between:
    calls that outlive a restarted engine refresh every few seconds.
    """

    def __init__(
        self, settings: AdmissionSettings, times: TurnTimes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._times = times
        self._clock = clock
        # When each call's lease ends, and when each call last asked for one and got it.
        self._leases: dict[str, float] = {}
        self._asked: dict[str, float] = {}

    def reserve(self, call_id: str) -> Reservation:
        """Takes or refreshes a slot. A call that holds one always keeps it; only new ones are refused."""
        if call_id not in self._leases:
            reason = self._refusal()
            if reason:
                metrics.ENGINE_REFUSALS.labels(reason).inc()
                return Reservation(False, reason, self.free(), _RETRY_AFTER_SECONDS)
        now = self._clock()
        attached = now - self._asked.get(call_id, -LEASE_SECONDS) < LEASE_SECONDS
        self._leases[call_id] = now + (LEASE_SECONDS if attached else FIRST_LEASE_SECONDS)
        self._asked[call_id] = now
        return Reservation(True, "", self.free())

    def release(self, call_id: str) -> None:
        """Gives a slot back; nothing happens for a call without one."""
        self._leases.pop(call_id, None)
        self._asked.pop(call_id, None)
        self.free()

    def lapsed(self) -> list[str]:
        """Takes back and returns the slots nobody refreshed."""
        now = self._clock()
        gone = [call_id for call_id, until in self._leases.items() if until < now]
        for call_id in gone:
            del self._leases[call_id]
        self._asked = {call_id: at for call_id, at in self._asked.items() if now - at < LEASE_SECONDS}
        self.free()
        return gone

    def free(self) -> int:
        """Calls that could still be taken; published as a metric."""
        free = 0 if self._slow() else max(0, self._settings.max_calls - len(self._leases))
        metrics.ENGINE_CALLS.set(len(self._leases))
        metrics.ENGINE_FREE_SLOTS.set(free)
        return free

    def told(self) -> str:
        """The engine's state in a line, for `systemctl status`."""
        return f"ready, {len(self._leases)} of {self._settings.max_calls} calls" + (
            ", turns are slow" if self._slow() else ""
        )

    def _refusal(self) -> str:
        if len(self._leases) >= self._settings.max_calls:
            return "full"
        return "slow" if self._slow() else ""

    def _slow(self) -> bool:
        # With nobody here the next call cannot make anyone's turn late.
        return bool(self._leases) and self._times.turn_seconds() * 1000 > self._settings.turn_deadline_ms
