"""A telephone of raw sockets: every SIP message and RTP packet is the test's own, wrong ones included."""

from __future__ import annotations

import dataclasses
import itertools
import re
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable

LOOPBACK = "127.0.0.1"
PCMU, PCMA, TELEPHONE_EVENT = 0, 8, 101
FRAME_SECONDS = 0.02
# G.711 μ-law and A-law silence.
SILENCE = {PCMU: b"\xff" * 160, PCMA: b"\xd5" * 160}
_branches = itertools.count(1)


@dataclasses.dataclass
class Message:
    """A SIP message: its first line, headers in order, body."""

    start: str
    headers: list[tuple[str, str]]
    body: str = ""

    @classmethod
    def parse(cls, data: bytes) -> Message:
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if ":" in line]
        return cls(start, headers, body)  # type: ignore[arg-type]

    @property
    def status(self) -> int:
        """The status code of a response; 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The method of a request, or the one a response answers."""
        return self.header("CSeq").split()[-1] if self.status else self.start.split()[0]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str:
        values = self.all(name)
        return values[0] if values else ""

    def media(self) -> tuple[str, int, list[int]]:
        """Address, port and payload types of the SDP's audio."""
        address = re.findall(r"^c=IN IP4 (\S+)", self.body, re.MULTILINE)[-1]
        port, formats = re.findall(r"^m=audio (\d+) RTP/AVP ([\d ]+)", self.body, re.MULTILINE)[0]
        return address, int(port), [int(number) for number in formats.split()]

    def direction(self) -> str:
        found = re.findall(r"^a=(sendrecv|sendonly|recvonly|inactive)", self.body, re.MULTILINE)
        return found[-1] if found else "sendrecv"


@dataclasses.dataclass(frozen=True)
class Packet:
    """An RTP packet as it arrived."""

    at: float
    source: tuple[str, int]
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def rtp(
    payload: bytes,
    sequence: int,
    timestamp: int,
    ssrc: int = 0x1234,
    payload_type: int = PCMU,
    marker: bool = False,
) -> bytes:
    """One RTP packet (RFC 3550 5.1)."""
    second = payload_type | (0x80 if marker else 0)
    return struct.pack("!BBHII", 0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


class Line:
    """The RTP of one call: sends a frame every 20 ms and keeps what arrives, on a thread."""

    def __init__(self, remote: tuple[str, int], sock: socket.socket, payload_type: int = PCMU) -> None:
        self.remote = remote
        self.packets: list[Packet] = []
        self.sending = True
        self.payload_type = payload_type
        self.frame = SILENCE[payload_type]
        self.sequence = 0
        self.timestamp = 0
        self._socket = sock
        self._queue: list[bytes] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def digit(self, event: int, duration_ms: int = 100) -> None:
        """Queues one RFC 4733 telephone-event: updates every 20 ms, then its end three times."""
        steps = duration_ms // 20
        for step in [*range(1, steps + 1), steps, steps, steps]:
            end = 0x80 if step == steps else 0
            self._queue.append(struct.pack("!BBH", event, end | 10, step * 160))

    def wait_packets(self, count: int, seconds: float = 5.0) -> list[Packet]:
        """The packets once there are `count` more than now."""
        wanted = len(self.packets) + count
        wait_until(lambda: len(self.packets) >= wanted, seconds, f"{count} RTP packets")
        return self.packets[wanted - count :]

    def _run(self) -> None:
        due = time.monotonic()
        event_timestamp = 0
        while not self._stop.is_set():
            readable, _, _ = select.select([self._socket], [], [], max(0.0, due - time.monotonic()))
            if readable:
                self._receive()
                continue
            due += FRAME_SECONDS
            if not self.sending:
                continue
            if self._queue:
                body = self._queue.pop(0)
                first = struct.unpack("!H", body[2:])[0] == 160
                event_timestamp = self.timestamp if first else event_timestamp
                packet = rtp(body, self.sequence, event_timestamp, payload_type=TELEPHONE_EVENT, marker=first)
            else:
                packet = rtp(self.frame, self.sequence, self.timestamp, payload_type=self.payload_type)
            self._socket.sendto(packet, self.remote)
            self.sequence += 1
            self.timestamp += 160

    def _receive(self) -> None:
        data, source = self._socket.recvfrom(4096)
        if len(data) >= 12:
            _, second, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
            self.packets.append(
                Packet(time.monotonic(), source, second & 0x7F, sequence, timestamp, ssrc, data[12:])
            )


class Phone:
    """One SIP user agent on UDP, one call at a time. Use as a context manager; hangs up at the end."""

    def __init__(self, lane: tuple[str, int], called: str = "echo", host: str = LOOPBACK) -> None:
        self.lane = lane
        self.called = called
        self.host = host
        self.target = f"sip:{called}@{lane[0]}:{lane[1]}"
        self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sip.bind((host, 0))
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media.bind((host, 0))
        self.call_id = secrets.token_hex(8)
        self.from_tag = secrets.token_hex(4)
        self.to = f"<sip:{called}@{lane[0]}:{lane[1]}>"
        self.cseq = 0
        self.answer = Message("", [])
        self.inbox: list[Message] = []
        self.line: Line | None = None
        self.up = False

    def __enter__(self) -> Phone:
        return self

    def __exit__(self, *_: object) -> None:
        if self.up:
            self.bye()
        if self.line is not None:
            self.line.close()
        self.sip.close()
        self.media.close()

    @property
    def port(self) -> int:
        return int(self.sip.getsockname()[1])

    @property
    def media_port(self) -> int:
        return int(self.media.getsockname()[1])

    def sdp(self, formats: Iterable[int] = (PCMU, TELEPHONE_EVENT), extra: str = "", port: int = 0) -> str:
        numbers = " ".join(str(number) for number in formats)
        return (
            f"v=0\r\no=phone 1 {self.cseq + 1} IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\n"
            f"m=audio {port or self.media_port} RTP/AVP {numbers}\r\n"
            f"a=rtpmap:{TELEPHONE_EVENT} telephone-event/8000\r\n{extra}"
        )

    def request(
        self,
        method: str,
        body: str = "",
        extra: str = "",
        cseq: int | None = None,
        content: str = "application/sdp",
    ) -> bytes:
        """The bytes of a request of this call, with a new branch and, unless given, the next CSeq."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        lines = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};rport;branch=z9hG4bK-{self.call_id}-{next(_branches)}",
            f"From: <sip:phone@{self.host}>;tag={self.from_tag}",
            f"To: {self.to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:phone@{self.host}:{self.port}>",
            "Max-Forwards: 70",
            "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, NOTIFY, UPDATE, REFER",
            *extra.splitlines(),
            *([f"Content-Type: {content}"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def send(self, data: bytes) -> None:
        self.sip.sendto(data, self.lane)

    def receive(self, wanted: Callable[[Message], bool], seconds: float = 5.0) -> Message | None:
        """The first message that `wanted` accepts, earlier ones included; None if none came in time.

        Requests that arrive meanwhile get a 200: a telephone answers.
        """
        deadline = time.monotonic() + seconds
        while True:
            for message in self.inbox:
                if wanted(message):
                    self.inbox.remove(message)
                    return message
            readable, _, _ = select.select([self.sip], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                return None
            message = Message.parse(self.sip.recvfrom(65535)[0])
            if not message.status and message.method != "ACK":
                self._accept(message)
            self.inbox.append(message)

    def transact(self, data: bytes, seconds: float = 5.0) -> Message:
        """Sends a request once and returns its final response. Fails when none comes."""
        number = Message.parse(data).header("CSeq")
        self.send(data)
        final = self.receive(lambda m: m.status >= 200 and m.header("CSeq") == number, seconds)
        assert final is not None, f"no final response to {number}"
        return final

    def invite(self, body: str | None = None, extra: str = "") -> Message:
        """Dials; acknowledges what comes back. On success the dialog is up and RTP flows."""
        self.answer = self.transact(self.request("INVITE", self.sdp() if body is None else body, extra))
        if not self.up:
            self.to = self.answer.header("To")
        self.send(self.request("ACK", cseq=self.cseq))
        if self.answer.status == 200 and not self.up:
            self.up = True
            address, port, formats = self.answer.media()
            self.line = Line((address, port), self.media, PCMU if PCMU in formats else PCMA)
        elif not self.up:
            self.to = self.to.split(";tag=")[0]
        return self.answer

    def talk(self) -> Line:
        """The RTP of the call that is up."""
        assert self.line is not None, f"the call is not up: {self.answer.start}"
        return self.line

    def bye(self) -> Message:
        self.up = False
        return self.transact(self.request("BYE"))

    def wait_bye(self, seconds: float = 10.0) -> bool:
        """True when the other side hung up in time."""
        if self.receive(lambda m: not m.status and m.method == "BYE", seconds) is None:
            return False
        self.up = False
        return True

    def _accept(self, request: Message) -> None:
        copied = [
            f"{key}: {value}"
            for key, value in request.headers
            if key in ("Via", "From", "To", "Call-ID", "CSeq")
        ]
        lines = ["SIP/2.0 200 OK", *copied, "Content-Length: 0", "", ""]
        self.send("\r\n".join(lines).encode())


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Polls until `true()`; fails at the deadline, naming `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)
