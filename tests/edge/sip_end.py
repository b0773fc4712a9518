"""A lane of raw sockets: keeps every request it is sent, and answers as it is told."""

from __future__ import annotations

import secrets
import select
import socket
import threading
from collections.abc import Callable
from types import TracebackType

from sip_phone import Message

# A status to answer with; 0: say nothing.
Answer = Callable[[Message], int]


class SipEnd:
    """Answers INVITE with `status` (0 for silence) and everything else with 200. Use as a context manager."""

    def __init__(self, host: str, port: int = 5070, status: int = 200, probes: int = 200) -> None:
        self.status = status
        # What it says to OPTIONS outside of calls: probes of the load balancer.
        self.probes = probes
        self.requests: list[Message] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._tag = secrets.token_hex(4)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> SipEnd:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def of(self, method: str) -> list[Message]:
        """The requests of one method, as they came."""
        return [request for request in self.requests if request.method == method]

    def invitations(self) -> int:
        """How many calls it was offered; a retransmission is the same call."""
        return len(
            {
                request.header("Call-ID")
                for request in self.of("INVITE")
                if ";tag=" not in request.header("To")
            }
        )

    def send(self, method: str, invite: Message, extra: str = "", cseq: int = 1) -> Message | None:
        """Sends a request of its own within the call that `invite` began; gives back the final answer."""
        contact = invite.header("Contact").partition("<")[2].partition(">")[0]
        host, port = self.address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.bind((host, 0))
            mine = channel.getsockname()[1]
            lines = [
                f"{method} {contact} SIP/2.0",
                f"Via: SIP/2.0/UDP {host}:{mine};branch=z9hG4bK{secrets.token_hex(8)}",
                "Max-Forwards: 70",
                f"From: {invite.header('To')};tag={self._tag}",
                f"To: {invite.header('From')}",
                f"Call-ID: {invite.header('Call-ID')}",
                f"CSeq: {cseq} {method}",
                f"Contact: <sip:{host}:{port}>",
                *extra.splitlines(),
                "Content-Length: 0",
                "",
                "",
            ]
            target = contact.removeprefix("sip:").split(";")[0]
            address, _, number = target.partition(":")
            channel.sendto("\r\n".join(lines).encode(), (address, int(number or 5060)))
            channel.settimeout(10)
            while True:
                try:
                    reply = Message.parse(channel.recv(65536))
                except TimeoutError:
                    return None
                if reply.status >= 200:
                    return reply

    def _run(self) -> None:
        while not self._stop.is_set():
            if not select.select([self._socket], [], [], 0.05)[0]:
                continue
            data, source = self._socket.recvfrom(65536)
            request = Message.parse(data)
            if request.status or request.method == "ACK":
                if not request.status:
                    self.requests.append(request)
                continue
            self.requests.append(request)
            first = ";tag=" not in request.header("To")
            status = self.status if request.method == "INVITE" and first else 200
            if request.method == "OPTIONS" and first:
                status = self.probes
            if status:
                self._answer(request, status, source)

    def _answer(self, request: Message, status: int, source: tuple[str, int]) -> None:
        host, port = self.address
        copied = [(key, value) for key, value in request.headers if key in ("Via", "From", "Call-ID", "CSeq")]
        lines = [f"SIP/2.0 {status} Told So", *(f"{key}: {value}" for key, value in copied)]
        to = request.header("To")
        lines.append(f"To: {to}" if ";tag=" in to else f"To: {to};tag={self._tag}")
        body = ""
        if request.method == "INVITE" and status == 200:
            body = (
                f"v=0\r\no=- 7 7 IN IP4 {host}\r\ns=lane\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
                "m=audio 40000 RTP/AVP 0\r\na=sendrecv\r\n"
            )
            lines += [f"Contact: <sip:{host}:{port}>", "Content-Type: application/sdp"]
            lines += ["Server: lane-software/1.0", f'Warning: 399 {host} "lane"']
        lines += [f"Content-Length: {len(body)}", "", body]
        self._socket.sendto("\r\n".join(lines).encode(), source)
