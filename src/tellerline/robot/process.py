"""A robot process: up to four calls, started by `dial`, that imports only what calling needs.

The parent renders lines before and recognises answers after, so that this process does not load what
it measures. The job comes pickled on standard input; events and finished traces go back pickled on
what was standard output (pjsua2 prints to descriptor 1 before it can be told not to).
"""

from __future__ import annotations

import os
import pickle
import queue
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from tellerline.errors import SipError
from tellerline.robot.media import CallMedia, MediaLoop, Surroundings
from tellerline.robot.script import Script, Step
from tellerline.robot.sip import Dialog, UserAgent
from tellerline.robot.trace import CallTrace

# A thread that waits for the interpreter lock gets it after this; the default 5 ms is a quarter of a packet.
_SWITCH_SECONDS = 0.0005
_POLL_MS = 10
# Length of the pickle that follows.
FRAME = struct.Struct("!I")


@dataclass(frozen=True)
class CallPlan:
    """One call to place."""

    name: str
    uri: str
    steps: tuple[Step, ...]
    around: Surroundings = field(default_factory=Surroundings)
    # Milliseconds after the process is ready.
    start_after_ms: int = 0
    max_seconds: float = 300.0


@dataclass(frozen=True)
class Job:
    """What one process does. `rtp_port` 0 lets the system choose."""

    calls: tuple[CallPlan, ...]
    host: str = "127.0.0.1"
    rtp_port: int = 0
    codecs: tuple[str, ...] = ("PCMU", "PCMA")


@dataclass(frozen=True)
class Event:
    """Something that just happened in a call, for whoever watches."""

    call: int
    at_ns: int
    kind: str
    turn: int = -1
    text: str = ""


@dataclass
class _Live:
    plan: CallPlan
    media: CallMedia
    dialog: Dialog | None = None
    stopped: bool = False
    asked: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)


class _Caller:
    """Runs one job."""

    def __init__(self, job: Job, send: Callable[[object], None]) -> None:
        self._job = job
        self._send = send
        self._live = [self._prepare(index, plan) for index, plan in enumerate(job.calls)]

    def _prepare(self, index: int, plan: CallPlan) -> _Live:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # Even ports, as RFC 3550 wants of RTP.
        sock.bind((self._job.host, self._job.rtp_port and self._job.rtp_port + 2 * index))
        media = CallMedia(CallTrace(plan.name), sock, plan.around)
        live = _Live(plan, media)
        media.script = Script(
            media,
            list(plan.steps),
            lambda kind, turn, text: self._tell(index, kind, turn, text),
            live.asked.put,
        ).run()
        return live

    def _tell(self, call: int, kind: str, turn: int, text: str) -> None:
        self._send(Event(call, time.monotonic_ns(), kind, turn, text))

    def run(self) -> None:
        """Places every call at its time and serves them until all have ended."""
        agent = UserAgent(self._job.host, codecs=self._job.codecs)
        loop = MediaLoop([live.media for live in self._live])
        loop.start()
        started = time.monotonic()
        while not all(live.dialog is not None and live.dialog.done for live in self._live):
            agent.poll(_POLL_MS)
            passed = time.monotonic() - started
            for index, live in enumerate(self._live):
                if live.dialog is not None:
                    self._serve(live, live.dialog, passed)
                elif passed * 1000 >= live.plan.start_after_ms:
                    live.dialog = agent.call(live.plan.uri, live.media, self._sip_tell(index))
        loop.stop()
        for live in self._live:
            live.media.trace.process_cpu_seconds = time.process_time()
            self._send(live.media.trace)

    def _sip_tell(self, index: int) -> Callable[[str, str], None]:
        return lambda kind, text: self._tell(index, kind, -1, text)

    def _serve(self, live: _Live, dialog: Dialog, passed: float) -> None:
        while not live.asked.empty():
            dialog.ask(live.asked.get())
        if not dialog.done and passed > live.plan.max_seconds and not live.stopped:
            live.stopped = True
            live.media.trace.ended_by = "robot"
            dialog.ask("hang_up")


def main() -> None:
    """Reads a Job, runs it, writes Events and CallTraces."""
    out: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.setswitchinterval(_SWITCH_SECONDS)
    job: Job = pickle.load(sys.stdin.buffer)

    def send(item: object) -> None:
        data = pickle.dumps(item)
        # One write: events come from the SIP and the media thread.
        out.write(FRAME.pack(len(data)) + data)
        out.flush()

    try:
        _Caller(job, send).run()
    except Exception as error:
        send(SipError(f"sip: the robot's process failed: {error}"))
        raise
    finally:
        # Past pjsua2's own teardown, whose order at interpreter exit is not ours to choose.
        out.close()
        os._exit(0)


if __name__ == "__main__":
    # As the module the parent knows: pickles name their classes by module, and this one is __main__.
    from tellerline.robot import process

    process.main()
