"""A SIP OPTIONS to the lane's own port: whether what arrives there is answered."""

from __future__ import annotations

import asyncio
import secrets

from tellerline.settings import SipSettings

# RFC 3261 17.1.2.2: T1 is 500 ms, timer F 64 of them; nothing is lost on the way to oneself but by a hang.
_REPEAT_SECONDS = 0.5


class _Answers(asyncio.DatagramProtocol):
    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, address: object) -> None:
        if not self._answered.done() and data.startswith(b"SIP/2.0 "):
            self._answered.set_result(data.split(b" ", 2)[1])


async def answered(settings: SipSettings) -> int:
    """Sends OPTIONS over UDP until there is an answer; returns its status (200; 503 while refusing calls)."""
    host = "127.0.0.1" if settings.bind_host == "0.0.0.0" else settings.bind_host
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Answers(answer), local_addr=(host, 0)
    )
    port = transport.get_extra_info("sockname")[1]
    mark = secrets.token_hex(8)
    request = (
        f"OPTIONS sip:{host}:{settings.port} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{mark}\r\n"
        f"From: <sip:watchdog@{host}>;tag={mark}\r\n"
        f"To: <sip:{host}:{settings.port}>\r\n"
        f"Call-ID: {mark}@{host}\r\n"
        "CSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 1\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()
    try:
        while True:
            transport.sendto(request, (host, settings.port))
            done, _ = await asyncio.wait((answer,), timeout=_REPEAT_SECONDS)
            if done:
                return int(answer.result())
    finally:
        transport.close()
