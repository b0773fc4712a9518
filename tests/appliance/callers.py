"""Callers who stay on the line while a test breaks something beside them; run on a site's control side.

Prints a JSON object a line: {"call": 0, "event": "answered"} as things happen, and what each call was at its
end. Times are CLOCK_MONOTONIC nanoseconds, which the test's own process shares.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

import numpy as np

from tellerline.robot import dial, measure
from tellerline.robot.process import CallPlan, Event
from tellerline.robot.script import AwaitAnswer, HangUp, Pause, Press, Step
from tellerline.robot.trace import CallTrace

# Opening hours: any key keeps the silence prompts away, which would end the call.
_KEY = "1"
_KEY_EVERY_MS = 6_000
# 20 ms packets; what is no longer than this is the machine's own doing.
_GAP_MS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("uri")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--apart-ms", type=int, default=400)
    given = parser.parse_args()
    plans = [
        CallPlan(f"caller {n}", given.uri, _steps(given.seconds), start_after_ms=n * given.apart_ms)
        for n in range(given.calls)
    ]
    traces = asyncio.run(dial.place(plans, _tell))
    for number, trace in enumerate(traces):
        print(json.dumps({"call": number, "event": "over", **_told(trace)}), flush=True)
    sys.exit(0)


def _steps(seconds: float) -> tuple[Step, ...]:
    keys: list[Step] = [AwaitAnswer(0)]
    for turn in range(1, 1 + max(1, round(seconds * 1000 / _KEY_EVERY_MS))):
        keys += [Press(turn, _KEY, _KEY), Pause(turn, _KEY_EVERY_MS)]
    return (*keys, HangUp(len(keys)))


def _tell(event: Event) -> None:
    print(json.dumps({"call": event.call, "event": event.kind, "at_ns": event.at_ns}), flush=True)


def _told(trace: CallTrace) -> dict[str, Any]:
    audio = measure.BotAudio(trace)
    spaces = np.diff(audio.arrived_ns) / 1e6
    gaps = [[int(audio.arrived_ns[at]), float(spaces[at])] for at in np.flatnonzero(spaces > _GAP_MS)]
    return {
        "sip_call_id": trace.sip_call_id,
        "status": trace.status,
        "invited_ns": trace.invited_ns,
        "answered_ns": trace.acknowledged_ns,
        "ended_ns": trace.ended_ns,
        "ended_by": trace.ended_by,
        "packets": len(audio.packets),
        "last_packet_ns": int(audio.arrived_ns[-1]) if len(audio.arrived_ns) else 0,
        "lost": measure.reception(trace, audio).lost if len(audio.packets) else 0,
        "gaps": gaps,
    }


if __name__ == "__main__":
    main()
