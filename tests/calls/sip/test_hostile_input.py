"""Torture messages, mutated messages and garbage RTP, each beside a live call that must not notice."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sip_lane import Lane
from sip_phone import LOOPBACK, PCMU, TELEPHONE_EVENT, Phone, rtp

MUTANTS = 3000


@pytest.fixture
def lane(make_lane: Callable[..., Lane]) -> Lane:
    """A lane for one test only: INVITEs among the torture messages keep slots until no ACK came for 32 s."""
    return make_lane()


@pytest.fixture
def live_call(lane: Lane) -> Iterator[Phone]:
    """A call with audio both ways; afterwards it must still be up, and the lane good for another."""
    with lane.phone() as phone:
        assert phone.invite().status == 200
        phone.talk().wait_packets(10)
        yield phone
        assert phone.talk().wait_packets(25)
        assert phone.bye().status == 200
    assert lane.options() == 200
    with lane.phone() as phone:
        assert phone.invite().status == 200


def _assert_unbroken(call: Phone) -> None:
    call.talk().wait_packets(10)
    packets = list(call.talk().packets)
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets)), "a packet is missing"
    assert max(b.at - a.at for a, b in pairwise(packets)) < 1.0, "the call fell silent"


def _torture(folder: Path) -> list[tuple[str, bytes]]:
    # RFC 4475 writes its hosts from 192.0.2.0/24; on loopback nothing leaves this machine.
    return [(p.name, p.read_bytes().replace(b"192.0.2.", b"127.0.2.")) for p in sorted(folder.glob("*.dat"))]


def test_torture_messages_over_udp(lane: Lane, live_call: Phone, shared_data: Path) -> None:
    messages = _torture(shared_data / "rfc4475")
    assert len(messages) >= 48
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        for name, message in messages:
            sock.sendto(message, lane.address)
            assert lane.options() == 200, f"no 200 to OPTIONS after {name}"
    _assert_unbroken(live_call)


def test_torture_messages_over_tcp(lane: Lane, live_call: Phone, shared_data: Path) -> None:
    for name, message in _torture(shared_data / "rfc4475"):
        with socket.create_connection(lane.address, timeout=2) as sock:
            sock.sendall(message)
        assert lane.options() == 200, f"no 200 to OPTIONS after {name}"
    _assert_unbroken(live_call)


def test_mutated_messages(lane: Lane, live_call: Phone, shared_data: Path) -> None:
    chance = random.Random(4475)
    seeds = [message for _, message in _torture(shared_data / "rfc4475")]
    with lane.phone() as phone:
        seeds += [
            phone.request(method, phone.sdp()) for method in ("INVITE", "OPTIONS", "BYE", "INFO", "UPDATE")
        ]
        seeds.append(phone.request("REFER", extra="Refer-To: <sip:x@127.0.0.1:9>\r\n"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        for number in range(MUTANTS):
            sock.sendto(_mutate(chance, chance.choice(seeds))[:60000], lane.address)
            # A question between bursts keeps the socket's buffer from dropping what is to be tested.
            if number % 50 == 49:
                assert lane.options() == 200, f"no 200 to OPTIONS after mutant {number} of seed 4475"
    _assert_unbroken(live_call)


def _mutate(chance: random.Random, message: bytes) -> bytes:
    data = bytearray(message)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0:
                data[at : at + chance.randint(1, 20)] = b""
            case 1:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 20)))
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                data[at:at] = chance.choice(
                    [b"\r\n", b"\0", b";", b"<", b'"', b":", b"%00", b"4294967296", b"-1"]
                )
            case 4:
                data[at:at] = data[at : at + 40] * chance.randint(1, 40)
            case _:
                del data[at:]
        data = data or bytearray(b"\r\n")
    return bytes(data)


def test_garbage_rtp(lane: Lane, live_call: Phone) -> None:
    """What does not parse is dropped. Well-formed RTP from a stranger may win the stream for as long as it
    floods (symmetric RTP; an edge's relay has strict sources); the caller has it back right after.
    """
    chance = random.Random(3550)
    _, port, _ = live_call.answer.media()
    payload = b"\xff" * 160
    garbage = [
        b"",
        b"\x80",
        b"\x80\x00" + b"\0" * 9,  # one byte short of a header
        b"\x8f" + rtp(payload, 7, 7)[1:13],  # fifteen contributing sources in one byte
        b"\x90\x00" + rtp(b"", 7, 7)[2:] + b"\0\0\xff\xff",  # header extension longer than the packet
        b"\xa0\x00" + rtp(b"", 7, 7)[2:] + b"\xff",  # padding longer than the packet
        b"\x40" + rtp(payload, 7, 7)[1:],  # version 1
        rtp(b"\xff" * 1400, 7, 7),
        rtp(b"\xff" * 9000, 8, 8),
        rtp(b"", 9, 9),
        rtp(b"\x00", 9, 9),
        rtp(b"\x01\x0a", 10, 10, payload_type=TELEPHONE_EVENT),
        rtp(b"\xff\xff\xff\xff" * 50, 11, 11, payload_type=TELEPHONE_EVENT),
        *(rtp(payload, 12, 12, payload_type=number) for number in range(128) if number not in (PCMU, 101)),
        *(rtp(payload, 65535 - n, 0xFFFFFFFF - n, ssrc=n) for n in range(50)),
        *(chance.randbytes(chance.randint(1, 1500)) for _ in range(1000)),
        *(b"\x80\x00" + chance.randbytes(chance.randint(10, 1500)) for _ in range(1000)),
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        for number, packet in enumerate(garbage):
            sock.sendto(packet, (LOOPBACK, port))
            if number % 2 == 0:
                sock.sendto(packet, (LOOPBACK, port + 1))  # RTCP
            if number % 100 == 99:
                live_call.talk().wait_packets(1)
