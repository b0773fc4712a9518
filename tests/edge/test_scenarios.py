"""Every sipp scenario of the connector, through the edge; and what RFC 4475 tortures SIP parsers with."""

from __future__ import annotations

import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from edge_lane import EdgeLane
from edge_process import Addresses, Edge
from sip_phone import PCMA, PCMU, wait_until
from sipp import SCENARIOS, Dialled, Dialogue, Sipp

MUTANTS = 3000
Runner = Callable[..., Dialogue]

# Scenario → the number dialled, and its keys.
_SCENARIOS = {
    "call": ("echo", {}),
    "codec_change": ("echo", {}),
    "hold": ("echo", {"hold_address": "127.0.0.1", "hold_direction": "sendonly"}),
    "info_digits": ("echo", {}),
    "late_offer": ("echo", {}),
    "no_common_codec": ("echo", {}),
    "record_route": ("hangup", {}),
    "rtp_digits": ("echo", {}),
    "session_timer": ("echo", {"refresher": "uac"}),
    "session_too_short": ("echo", {}),
    "transfer": ("transfer", {}),
    "transfer_busy": ("transfer", {}),
    "transfer_failing": ("transfer", {}),
    "transfer_refused": ("transfer", {}),
    "transfer_silent": ("transfer", {}),
}
_APART = {"cancel", "inbound_refer", "session_timer_lane"}


@pytest.fixture
def run(edge: Edge, tmp_path: Path) -> Iterator[Runner]:
    """Runs a scenario through the edge to its end; the edge has forgotten the call then."""

    def scenario(name: str, called: str = "echo", **keys: str) -> Dialogue:
        dialled = Dialled((edge.address, edge.port))
        return Sipp(dialled, name, tmp_path, called=called, host=edge.trunk, **keys).finish()

    yield scenario
    wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 10, "the edge to forget the call")


def test_no_scenario_is_left_out() -> None:
    assert {path.stem for path in SCENARIOS.glob("*.xml")} == {*_SCENARIOS, *_APART}


@pytest.mark.parametrize("name", sorted(_SCENARIOS))
def test_scenario(run: Runner, lanes: tuple[EdgeLane, EdgeLane], name: str) -> None:
    called, keys = _SCENARIOS[name]
    dialogue = run(name, called, **keys)
    answers = dialogue.replies("INVITE", 200)
    heard = [event for lane in lanes for event in lane.of_call(dialogue.call_id, "digit")]
    match name:
        case "codec_change":
            assert [answer.media()[2][0] for answer in answers] == [PCMU, PCMA]
        case "info_digits":
            assert [event.digit for event in heard] == ["5", "*", "7"]
        case "rtp_digits":
            assert [event.digit for event in heard] == ["1", "9", "#"]
        case "session_timer":
            assert all(a.header("Session-Expires").replace(" ", "") == "90;refresher=uac" for a in answers)
        case "no_common_codec":
            assert dialogue.replies("INVITE", 488)
        case "session_too_short":
            assert int(dialogue.replies("INVITE", 422)[0].header("Min-SE")) >= 90
        case "transfer":
            [refer] = dialogue.requests("REFER")
            assert refer.header("Refer-To").startswith("<sip:person@")
            assert "User-to-User=" in refer.header("Refer-To")


def test_scenario_of_a_call_cancelled(run: Runner, lanes: tuple[EdgeLane, EdgeLane]) -> None:
    with lanes[0].server.admission_held(), lanes[1].server.admission_held():
        dialogue = run("cancel")
    assert dialogue.replies("CANCEL", 200) and dialogue.replies("INVITE", 487)


def test_scenario_of_a_refer_to_a_lane(run: Runner) -> None:
    dialogue = run("inbound_refer", refer_to="sip:+881234567@127.0.0.1:9")
    assert dialogue.replies("REFER", 603)


def test_scenario_of_a_session_refreshed_by_the_lane(refreshed_by_the_lane: Sipp) -> None:
    dialogue = refreshed_by_the_lane.finish()
    [answer] = dialogue.replies("INVITE", 200)
    assert answer.header("Session-Expires").replace(" ", "") == "90;refresher=uas"
    assert dialogue.requests("UPDATE")


@pytest.fixture
def battered(at: Addresses, make_lane: Callable[..., EdgeLane]) -> Iterator[Edge]:
    """An edge for one test, with a call that must not notice it; afterwards it takes another."""
    lane = make_lane(23)
    with Edge(at, [lane.address]) as edge:
        with edge.phone() as phone:
            assert phone.invite().status == 200
            phone.talk().wait_packets(10)
            yield edge
            packets = list(phone.talk().wait_packets(25))
            assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets)), (
                "a packet is missing"
            )
            assert phone.bye().status == 200
        with edge.phone() as phone:
            assert phone.invite().status == 200
        assert edge.opensips is not None and edge.opensips.poll() is None
        assert "child process" not in edge.log(), "a process of OpenSIPS died"


def _lives(edge: Edge) -> None:
    with edge.phone() as phone:
        wait_until(lambda: phone.transact(phone.request("OPTIONS")).status == 200, 5, "the edge to answer")


def _torture(folder: Path) -> list[bytes]:
    # RFC 4475 writes its hosts from 192.0.2.0/24; on loopback nothing leaves this machine.
    return [path.read_bytes().replace(b"192.0.2.", b"127.0.2.") for path in sorted(folder.glob("*.dat"))]


def test_calls_during_a_flood(battered: Edge, tmp_path: Path) -> None:
    """Strangers send all they can; sipp is answered as ever, and the call that is on loses no packet."""
    done = threading.Event()

    def flood() -> None:
        with battered.phone(host=battered.at(66)) as stranger:
            packet = stranger.request("INVITE", stranger.sdp())
            while not done.is_set():
                for _ in range(50):
                    stranger.send(packet)
                done.wait(0.01)

    with ThreadPoolExecutor(1) as stranger:
        stranger.submit(flood)
        try:
            wait_until(lambda: battered.at(66) in str(battered.ask("pike_list")), 10, "the flood to be seen")
            dialled = Dialled((battered.address, battered.port))
            for number in range(3):
                folder = tmp_path / str(number)
                folder.mkdir()
                Sipp(dialled, "call", folder, host=battered.trunk).finish()
        finally:
            done.set()


def test_torture_messages_from_the_trunk(battered: Edge, shared_data: Path) -> None:
    messages = _torture(shared_data / "rfc4475")
    assert len(messages) >= 48
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((battered.trunk, 0))
        for message in messages:
            sock.sendto(message, (battered.address, battered.port))
            _lives(battered)


def test_torture_messages_over_tcp(battered: Edge, shared_data: Path) -> None:
    for message in _torture(shared_data / "rfc4475"):
        with socket.create_connection((battered.address, battered.port), 5, (battered.trunk, 0)) as channel:
            channel.sendall(message)
    _lives(battered)


def test_mutated_invitations(battered: Edge) -> None:
    chance = random.Random(4475)
    with battered.phone() as phone:
        whole = phone.request("INVITE", phone.sdp())
        for number in range(MUTANTS):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 12)):
                at = chance.randrange(len(data))
                match chance.randrange(3):
                    case 0:
                        data[at] = chance.randrange(256)
                    case 1:
                        del data[at : at + chance.randint(1, 40)]
                    case _:
                        data[at:at] = bytes(chance.choices(b"\r\n:;<>@=\0 \xff0", k=chance.randint(1, 60)))
            data = bytearray(re.sub(rb"Call-ID: \S*", b"Call-ID: mutant-%d" % number, bytes(data)))
            # A tag in To makes it a request within a call: most set nothing up, so that slots are left.
            if number % 20:
                data = data.replace(b">\r\nCall-ID", b">;tag=x\r\nCall-ID")
            phone.send(bytes(data[:60000]))
            if number % 500 == 0:
                _lives(battered)
    _lives(battered)


# What ended a process of OpenSIPS 3.6.8 before route[sane] was there.
@pytest.mark.parametrize(
    "host",
    [
        b"127.9.20\x00\n\x00\n<\x00<: \xff@;;=\n;\r==@\n0 : :\xff:0\n\n\r:>\x00\xff>\n::\x00 @@< \n@ @.10",
        b"127.9.20.10\x00\r>\r :>:@\n>\r;\r\r00:41217",
        b"127.9\x00\r0=@\n:=;><>=:<>\x00\xff\n\r\xff=\n0: @@=0:\x00<\xff >:\xff\xff::\n= \xff\xff .20.10:554",
        b"127.9.20.10 : 5060",
    ],
)
def test_a_malformed_via_ends_nothing(battered: Edge, host: bytes) -> None:
    with battered.phone() as phone:
        for method in ("INVITE", "OPTIONS", "REGISTER", "BYE"):
            request = phone.request(method)
            mine = f"{phone.host}:{phone.port}".encode()
            for _ in range(20):
                phone.send(request.replace(b"UDP " + mine, b"UDP " + host, 1))
    _lives(battered)


def test_garbage_in_the_sound(battered: Edge) -> None:
    chance = random.Random(1)
    with battered.phone() as phone:
        assert phone.invite().status == 200
        line = phone.talk()
        for _ in range(2000):
            phone.media.sendto(chance.randbytes(chance.randint(0, 1400)), line.remote)
        time.sleep(0.1)
        assert line.wait_packets(25)
