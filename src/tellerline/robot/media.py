"""The robot's RTP: one thread that sends every 20 ms on schedule and stamps whatever arrives.

pjsua2's own media cannot tell when a packet arrived (its jitter buffer and null-device clock stand
between), so the robot leaves it a loop transport without sockets and writes these sockets' port into
the SDP (sip.py). One thread serves up to four calls with 8,000 Hz G.711 in about 2 % of a core.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from tellerline.robot import rtp
from tellerline.robot.g711 import PCMU, Codec, Samples
from tellerline.robot.trace import CallTrace, Line, Mark, speech_bounds

# linux/socket.h; Python 3.11's socket module does not name them.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")
_LATE_NS = 5_000_000
# Behind by more than this the schedule starts anew: a burst would overrun the other side's jitter buffer.
_RESYNC_NS = 200_000_000
# First answer sample: the first above -45 dBFS.
AUDIBLE = round(32768 * 10 ** (-45 / 20))
_ECHO_DELAY_NS = 150_000_000
_ECHO_GAIN = 10 ** (-26 / 20)
_SILENCE = np.zeros(rtp.FRAME_SAMPLES, np.int16)


@dataclass(frozen=True)
class Surroundings:
    """What reaches the line beside the caller's voice."""

    # Added to everything sent, looped; S16 8,000 Hz at the level it is to have.
    noise: Samples | None = None
    # The bot's own audio comes back 26 dB down and 150 ms later.
    echo: bool = False


class CallMedia:
    """One call's RTP. Its script runs in the media thread, once a tick, so it needs no locks."""

    def __init__(self, trace: CallTrace, sock: socket.socket, around: Surroundings) -> None:
        self.trace = trace
        self.socket = sock
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setblocking(False)
        self.codec: Codec = PCMU
        self.event_payload_type = 101
        self.remote: tuple[str, int] | None = None
        self.held = False
        self.ended = False
        self.script: Generator[None, None, None] | None = None
        # Arrival of the newest packet with an audible sample; 0 before the first.
        self.last_audible_ns = 0
        # The first audible arrival since `expect_answer` was called.
        self.answer_ns = 0
        self._around = around
        self._noise_at = 0
        self._audible = PCMU.audible_table(AUDIBLE)
        self._echoes: deque[tuple[int, bytes]] = deque()
        self._line: tuple[Mark, Samples] | None = None
        self._line_at = 0
        self._events: deque[list[rtp.EventPacket]] = deque()
        self._event_timestamp = 0
        self._keys: Mark | None = None
        self._sequence = random.getrandbits(15)
        self._timestamp = random.getrandbits(31)
        self._ssrc = random.getrandbits(32)
        self._first = True

    def connect(self, remote: tuple[str, int], codec: Codec, event_payload_type: int) -> None:
        """Where to send, and as what: from the negotiated SDP, again after every re-INVITE."""
        self.codec, self.event_payload_type = codec, event_payload_type
        self._audible = codec.audible_table(AUDIBLE)
        self.trace.codec = codec.name
        self.remote = remote

    def speak(self, mark: Mark, line: Line) -> None:
        """Sends `line` from the next tick on."""
        first, last = speech_bounds(line.samples)
        padding = -len(line.samples) % rtp.FRAME_SAMPLES
        self._line = (mark, np.concatenate([line.samples, np.zeros(padding, np.int16)]))
        self._line_at = 0
        mark.first_packet = len(self.trace.sent)
        mark.end_packet = mark.first_packet + len(self._line[1]) // rtp.FRAME_SAMPLES
        self._speech_packets = (first // rtp.FRAME_SAMPLES, last // rtp.FRAME_SAMPLES)

    def press(self, mark: Mark, key: str) -> None:
        """Sends one keypad digit as a telephone event, then 80 ms of audio.

        The mark's speech ends as the key goes down: an answer may come before it is up again.
        """
        self._keys = mark
        self._events.extend(rtp.digit_packets(key))
        self._events.extend([] for _ in range(4))

    @property
    def busy(self) -> bool:
        """Whether a line or a digit is still being sent."""
        return self._line is not None or bool(self._events)

    def expect_answer(self) -> None:
        """Forgets the last answer: `answer_ns` is set by the next audible packet."""
        self.answer_ns = 0

    def receive(self) -> None:
        """Takes every waiting datagram with the kernel's arrival time."""
        real_to_monotonic = time.monotonic_ns() - time.time_ns()
        while True:
            try:
                data, control, _, _ = self.socket.recvmsg(2048, 64)
            except (BlockingIOError, ConnectionRefusedError):
                return
            arrived = time.monotonic_ns()
            for level, kind, stamp in control:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                    seconds, nanoseconds = _TIMESPEC.unpack(stamp)
                    arrived = seconds * 1_000_000_000 + nanoseconds + real_to_monotonic
            self.trace.arrived_ns.append(arrived)
            self.trace.datagrams.append(data)
            # A fixed header is enough for following the conversation; measuring parses all of it.
            if len(data) > 12 and data[1] & 0x7F == self.codec.payload_type:
                payload = data[12:]
                if b"\x01" in payload.translate(self._audible):
                    self.last_audible_ns = arrived
                    self.answer_ns = self.answer_ns or arrived
                if self._around.echo:
                    self._echoes.append((arrived, payload))

    def send(self, now_ns: int) -> None:
        """Sends this tick's packet: a telephone event, or 20 ms of line, noise and echo."""
        if self.remote is None or self.held or self.ended:
            return
        frame = self._next_frame(now_ns)
        timestamp = self._timestamp
        self._timestamp += rtp.FRAME_SAMPLES
        packets = self._events.popleft() if self._events else []
        if packets:
            for event in packets:
                if event.marker:
                    self._event_timestamp = timestamp
                    self._key_down(now_ns)
                self._put(self.event_payload_type, event.marker, self._event_timestamp, event.payload)
            frame = _SILENCE
        else:
            self._put(self.codec.payload_type, self._first, timestamp, self.codec.encode(frame))
            self._first = False
        self._stamp_line(len(self.trace.sent), now_ns)
        self.trace.sent_ns.append(now_ns)
        self.trace.sent.append(frame)

    def _key_down(self, now_ns: int) -> None:
        if self._keys is not None:
            self._keys.speech_started_ns = self._keys.speech_started_ns or now_ns
            self._keys.speech_ended_ns = now_ns
        self.expect_answer()

    def _put(self, payload_type: int, marker: bool, timestamp: int, payload: bytes) -> None:
        assert self.remote is not None
        data = rtp.build(payload_type, marker, self._sequence, timestamp, self._ssrc, payload)
        self._sequence += 1
        try:
            self.socket.sendto(data, self.remote)
        except (BlockingIOError, ConnectionRefusedError):
            # An ICMP error of an earlier packet, or a full buffer: the network lost it.
            return

    def _next_frame(self, now_ns: int) -> Samples:
        frame = _SILENCE
        if self._line is not None:
            frame = self._line[1][self._line_at : self._line_at + rtp.FRAME_SAMPLES]
            self._line_at += rtp.FRAME_SAMPLES
        extra = self._noise_frame(), self._echo_frame(now_ns)
        if extra[0] is None and extra[1] is None:
            return frame
        mixed = frame.astype(np.int32)
        for added in extra:
            if added is not None:
                mixed[: len(added)] += added
        return np.clip(mixed, -32768, 32767).astype(np.int16)

    def _noise_frame(self) -> Samples | None:
        noise = self._around.noise
        if noise is None:
            return None
        self._noise_at = (self._noise_at + rtp.FRAME_SAMPLES) % (len(noise) - rtp.FRAME_SAMPLES)
        return noise[self._noise_at : self._noise_at + rtp.FRAME_SAMPLES]

    def _echo_frame(self, now_ns: int) -> Samples | None:
        payload = None
        while self._echoes and self._echoes[0][0] <= now_ns - _ECHO_DELAY_NS:
            payload = self._echoes.popleft()[1]
        if payload is None:
            return None
        return (self.codec.decode(payload)[: rtp.FRAME_SAMPLES] * _ECHO_GAIN).astype(np.int16)

    def _stamp_line(self, packet: int, sent_ns: int) -> None:
        if self._line is None:
            return
        mark, samples = self._line
        if packet == mark.first_packet + self._speech_packets[0]:
            mark.speech_started_ns = sent_ns
        if packet == mark.first_packet + self._speech_packets[1]:
            mark.speech_ended_ns = sent_ns
        if self._line_at >= len(samples):
            self._line = None


class MediaLoop:
    """The thread that serves all calls of this process."""

    def __init__(self, calls: list[CallMedia]) -> None:
        self._calls = calls
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="rtp", daemon=True)

    def start(self) -> None:
        """Starts sending and receiving."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; the traces are complete when this returns."""
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        by_socket = {call.socket: call for call in self._calls}
        due = time.monotonic_ns()
        while not self._stopping:
            wait = (due - time.monotonic_ns()) / 1e9
            if wait > 0:
                ready, _, _ = select.select(list(by_socket), [], [], wait)
                for sock in ready:
                    by_socket[sock].receive()
                if time.monotonic_ns() < due:
                    continue
            self._tick(due)
            due += rtp.FRAME_NS
            if time.monotonic_ns() - due > _RESYNC_NS:
                due = time.monotonic_ns()

    def _tick(self, due: int) -> None:
        for call in self._calls:
            call.receive()
            now = time.monotonic_ns()
            if now - due > _LATE_NS and call.remote is not None and not call.ended:
                call.trace.late_sends += 1
            call.send(now)
            if call.script is not None and call.remote is not None:
                try:
                    next(call.script)
                except StopIteration:
                    call.script = None
