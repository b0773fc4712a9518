#!/usr/bin/python3
"""Writes down SIP messages with everything that names a person or a secret masked.

OpenSIPS' tracer sends a copy of each message as HEP version 3 (https://github.com/sipcapture/HEP) over UDP on
loopback. What is written is chosen by what is known to be harmless, never by what is known to be harmful: a
header nobody thought of is withheld, and so is what cannot be parsed. Runs with Debian's Python alone.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import logging.handlers
import re
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_DATAGRAM_MAX = 65535
_FILE_BYTES = 20 << 20
_FILES = 20
_SIP = 1

# Short forms (RFC 3261 section 20, and those registered since).
_COMPACT = {
    "f": "from",
    "t": "to",
    "m": "contact",
    "i": "call-id",
    "v": "via",
    "k": "supported",
    "c": "content-type",
    "l": "content-length",
    "s": "subject",
    "r": "refer-to",
    "b": "referred-by",
    "u": "allow-events",
    "o": "event",
    "e": "content-encoding",
    "x": "session-expires",
}
# Written as they are: about the protocol, not about people.
_PLAIN = frozenset(
    (
        "accept",
        "accept-encoding",
        "allow",
        "allow-events",
        "call-id",
        "content-disposition",
        "content-encoding",
        "content-length",
        "content-type",
        "cseq",
        "date",
        "event",
        "expires",
        "max-forwards",
        "min-expires",
        "min-se",
        "proxy-require",
        "rack",
        "require",
        "retry-after",
        "rseq",
        "server",
        "session-expires",
        "subscription-state",
        "supported",
        "unsupported",
        "user-agent",
        "via",
    )
)
# Addresses of people: written with their user parts masked, and without the names beside them.
_ADDRESSES = frozenset(
    (
        "contact",
        "diversion",
        "from",
        "history-info",
        "p-asserted-identity",
        "p-preferred-identity",
        "record-route",
        "refer-to",
        "referred-by",
        "remote-party-id",
        "route",
        "to",
    )
)
# Parameters of addresses and URIs that tell nothing about a person.
_PARAMETERS = frozenset(
    (
        "cause",
        "counter",
        "did",
        "expires",
        "ftag",
        "index",
        "lr",
        "maddr",
        "method",
        "nat",
        "party",
        "privacy",
        "q",
        "r2",
        "received",
        "reason",
        "screen",
        "tag",
        "thinfo",
        "transport",
        "ttl",
        "user",
    )
)
# Attributes of SDP that carry keys.
_SDP_KEYS = re.compile(r"a=(crypto|key-mgmt|ice-pwd|ice-ufrag|fingerprint|identity)\b", re.IGNORECASE)
_SDP_PLAIN = frozenset("vctmabr")

_REQUEST = re.compile(r"([A-Z]{3,20}) (\S+) (SIP/2\.0)")
_STATUS = re.compile(r"(SIP/2\.0 [1-6]\d\d)\b.*")
_URI = re.compile(r"(?P<scheme>sips?|tel):(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
# Values of harmless parameters; an address in their place is none.
_TOKEN = re.compile(r"[\w.!%*+`'~:\[\]-]*", re.ASCII)
# What is masked may be numbers of the bank's own: digits, with what people write between them.
_SEPARATORS = re.compile(r"[-.()\s+]")


class NotSip(Exception):
    """What came is no message that could be masked."""


@dataclass(frozen=True)
class Captured:
    """One message with where it went. `at` is Unix time in seconds."""

    at: float
    source: str
    target: str
    transport: str
    message: bytes


def captured(packet: bytes) -> Captured | None:
    """The SIP message of a HEP packet; None for other kinds. Raises NotSip for what is no HEP."""
    if len(packet) < 6 or packet[:4] != b"HEP3":
        raise NotSip
    chunks: dict[int, bytes] = {}
    position, end = 6, min(len(packet), struct.unpack_from("!H", packet, 4)[0])
    while position + 6 <= end:
        vendor, kind, length = struct.unpack_from("!HHH", packet, position)
        if length < 6 or position + length > end:
            raise NotSip
        if vendor == 0:
            chunks[kind] = packet[position + 6 : position + length]
        position += length
    if chunks.get(11, b"\0")[-1] != _SIP or 15 not in chunks:
        return None
    seconds, micros = (int.from_bytes(chunks.get(kind, b""), "big") for kind in (9, 10))
    return Captured(
        at=seconds + micros / 1e6,
        source=_endpoint(chunks, 3, 5, 7),
        target=_endpoint(chunks, 4, 6, 8),
        transport={6: "TCP", 17: "UDP"}.get(int.from_bytes(chunks.get(2, b""), "big"), "?"),
        message=chunks[15],
    )


def _endpoint(chunks: dict[int, bytes], four: int, six: int, port: int) -> str:
    number = int.from_bytes(chunks.get(port, b""), "big")
    if len(chunks.get(four, b"")) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, chunks[four])}:{number}"
    if len(chunks.get(six, b"")) == 16:
        return f"[{socket.inet_ntop(socket.AF_INET6, chunks[six])}]:{number}"
    return f"?:{number}"


class Masking:
    """Masks messages. `clear`: users written in full, the bank's own service numbers."""

    def __init__(self, clear: frozenset[str] = frozenset()) -> None:
        self._clear = clear

    def message(self, raw: bytes) -> str:
        """The lines of a message, masked. Raises NotSip for what is none."""
        head, _, body = raw.partition(b"\r\n\r\n")
        try:
            # Continuation lines belong to the header before them (RFC 3261 section 7.3.1).
            lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8")).split("\r\n")
        except UnicodeDecodeError:
            raise NotSip from None
        headers = [self._header(line) for line in lines[1:] if line]
        kind = next((value for name, value in headers if name == "content-type"), "")
        written = [f"{name}: {value}" for name, value in headers]
        return "\n".join([self._start(lines[0]), *written, *self._body(kind, body)])

    def _start(self, line: str) -> str:
        if request := _REQUEST.fullmatch(line):
            return f"{request[1]} {self.uri(request[2])} {request[3]}"
        if status := _STATUS.fullmatch(line):
            return status[1]
        raise NotSip

    def _header(self, line: str) -> tuple[str, str]:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        name = _COMPACT.get(name, name)
        value = value.strip()
        if not colon or not re.fullmatch(r"[a-z0-9-]+", name):
            raise NotSip
        if name in _PLAIN:
            return name, value
        if name in _ADDRESSES:
            return name, ", ".join(self._address(one) for one in _items(value))
        return name, f"({len(value)} characters withheld)"

    def _address(self, text: str) -> str:
        before, bracket, _ = _outside_quotes(text).partition("<")
        if not bracket:
            uri, _, parameters = text.partition(";")
            return self.uri(uri.strip()) + _parameters(parameters)
        start = len(before)
        inside, closed, parameters = text[start + 1 :].partition(">")
        if not closed:
            raise NotSip
        name = '"***" ' if text[:start].strip() else ""
        return f"{name}<{self.uri(inside)}>{_parameters(parameters.partition(';')[2])}"

    def uri(self, text: str) -> str:
        """A URI with its user masked, and without the headers it carries."""
        if text == "*":
            return text
        parsed = _URI.fullmatch(text.strip())
        if not parsed:
            return "(withheld)"
        # A user may hold any of ; ? and /, what follows the last @ may not (RFC 3261 section 25.1).
        rest, _, headers = parsed["rest"].rpartition("@")[2].partition("?")
        host, _, parameters = rest.partition(";")
        user = parsed["rest"].rpartition("@")[0]
        if parsed["scheme"].lower() == "tel":
            masked = self._user(host)
        else:
            masked = f"{self._user(user)}@{host}" if user else host
        return f"{parsed['scheme']}:{masked}{_parameters(parameters)}{'?***' if headers else ''}"

    def _user(self, text: str) -> str:
        plain = _SEPARATORS.sub("", text)
        if text in self._clear or plain in self._clear:
            return text
        # The last two digits, so that two calls can be told apart.
        return f"***{plain[-2:]}" if plain.isascii() and plain.isdecimal() and len(plain) >= 6 else "***"

    def _body(self, kind: str, body: bytes) -> Iterator[str]:
        if not body:
            return
        if kind.partition(";")[0].strip().lower() != "application/sdp":
            # DTMF in INFO, locations, messages: nothing of it is needed to mend a call.
            yield f"\n({len(body)} bytes withheld)"
            return
        yield ""
        for line in body.decode("utf-8", errors="replace").splitlines():
            field, _, value = line.partition("=")
            if field == "o":
                yield f"o=*** {value.partition(' ')[2]}"
            elif key := _SDP_KEYS.match(line):
                yield f"{key[0]}:***"
            elif field in _SDP_PLAIN:
                yield line
            else:
                yield f"{field[:1]}=***"


def _outside_quotes(text: str) -> str:
    """`text` with quoted strings blanked, every character at its place."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda quoted: "_" * len(quoted[0]), text)


def _items(value: str) -> Iterator[str]:
    """The addresses of a header, apart at commas that stand neither in quotes nor in brackets."""
    blank = re.sub(r"<[^>]*>", lambda uri: "_" * len(uri[0]), _outside_quotes(value))
    start = 0
    for comma in [match.start() for match in re.finditer(",", blank)] + [len(value)]:
        yield value[start:comma].strip()
        start = comma + 1


def _parameters(text: str) -> str:
    """Parameters known to be harmless, the names of all others."""
    written = []
    for parameter in filter(None, (one.strip() for one in text.split(";"))):
        name, _, value = parameter.partition("=")
        name = name.strip().lower()
        if not re.fullmatch(r"[a-z0-9-]+", name):
            written.append("***")
        elif name in _PARAMETERS and _TOKEN.fullmatch(value):
            written.append(parameter)
        else:
            written.append(f"{name}=***" if value else "***")
    return "".join(f";{one}" for one in written)


def entry(packet: bytes, masking: Masking) -> str | None:
    """What is written of a HEP packet; None for what is no SIP message of OpenSIPS'."""
    try:
        one = captured(packet)
        if one is None:
            return None
        try:
            text = masking.message(one.message)
        except NotSip:
            text = f"({len(one.message)} bytes that are not SIP, withheld)"
    except NotSip:
        return None
    at = datetime.datetime.fromtimestamp(one.at, tz=datetime.UTC).isoformat(timespec="microseconds")
    return f"{at} {one.source} > {one.target} {one.transport}\n{text}\n"


def serve(listen: tuple[str, int], folder: Path, masking: Masking) -> None:
    """Receives and writes for ever; files of 20 MB, the oldest of twenty goes."""
    trace = logging.getLogger("sip-trace")
    trace.propagate = False
    trace.setLevel(logging.INFO)
    trace.addHandler(
        logging.handlers.RotatingFileHandler(
            folder / "sip.log", maxBytes=_FILE_BYTES, backupCount=_FILES - 1, encoding="utf-8"
        )
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(listen)
        while True:
            text = entry(door.recv(_DATAGRAM_MAX), masking)
            if text is not None:
                trace.info("%s", text)


def _address_of(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: give ADDRESS:PORT")
    return host, int(port)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--listen", type=_address_of, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--clear", action="append", default=[], help="a number of the bank's own, not masked")
    given = parser.parse_args()
    serve(given.listen, given.folder, Masking(frozenset(given.clear)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
