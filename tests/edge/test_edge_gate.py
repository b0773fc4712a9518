"""Who may ask for what: strangers, trunks' limits, REFER, requests that are not a side's to make."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edge_process import RELAY, ROOT, Addresses, Edge, command
from sip_end import SipEnd
from sip_phone import Message, Phone, wait_until

_TARGET = "sip:agents@198.51.100.20"


@pytest.fixture(scope="module")
def gate(at: Addresses) -> Iterator[tuple[Edge, SipEnd]]:
    trunks = [
        {"name": "carrier", "addresses": [at(10)], "calls": 20},
        {"name": "small", "addresses": [at(11)], "calls": 2},
        {"name": "slow", "addresses": [at(12)], "calls": 20, "rate": 2},
    ]
    with SipEnd(at(31)) as end, Edge(at, [end.address], trunks=trunks, transfer_targets=[_TARGET]) as edge:
        yield edge, end


def _silent(edge: Edge, data: bytes, host: str, seconds: float = 0.5) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((host, 0))
        stranger.settimeout(seconds)
        stranger.sendto(data, (edge.address, edge.port))
        try:
            stranger.recv(65536)
        except TimeoutError:
            return True
    return False


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "BYE", "MESSAGE"])
def test_a_stranger_gets_no_answer(gate: tuple[Edge, SipEnd], at: Addresses, method: str) -> None:
    edge, end = gate
    with edge.phone(host=at(66)) as phone:
        assert _silent(edge, phone.request(method, phone.sdp() if method == "INVITE" else ""), at(66))
    assert end.invitations() == 0 or all(phone.call_id != m.header("Call-ID") for m in end.requests)


@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH", "NOTIFY", "REFER"])
def test_a_trunk_may_begin_calls_and_nothing_else(gate: tuple[Edge, SipEnd], method: str) -> None:
    edge, _ = gate
    with edge.phone() as phone:
        assert phone.transact(phone.request(method)).status == 405


def test_a_trunk_that_asks_is_told_that_the_edge_lives(gate: tuple[Edge, SipEnd]) -> None:
    with gate[0].phone() as phone:
        assert phone.transact(phone.request("OPTIONS")).status == 200


def test_a_lane_does_not_dial(gate: tuple[Edge, SipEnd]) -> None:
    edge, end = gate
    with Phone((edge.inside, edge.port), "908501234567", host=end.address[0]) as phone:
        assert phone.invite().status == 403


def test_the_call_beyond_a_trunks_limit_is_refused(gate: tuple[Edge, SipEnd], at: Addresses) -> None:
    edge, _ = gate
    with edge.phone(host=at(11)) as one, edge.phone(host=at(11)) as two, edge.phone(host=at(11)) as three:
        assert [phone.invite().status for phone in (one, two)] == [200, 200]
        refused = three.invite()
        assert (refused.status, refused.header("Retry-After")) == (503, "5")
        for phone in (one, two):
            phone.talk().sending = False
        # Another trunk is not concerned.
        with edge.phone() as other:
            assert other.invite().status == 200
            other.talk().sending = False
        one.bye()
        wait_until(lambda: edge.calls() == 1, 5, "the first call to end")
        assert three.invite().status == 200
        three.talk().sending = False
    wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 5, "the edge to forget the calls")


def test_a_trunk_that_dials_too_fast_is_slowed_down(gate: tuple[Edge, SipEnd], at: Addresses) -> None:
    edge, _ = gate
    statuses = []
    for _ in range(8):
        with edge.phone(host=at(12)) as phone:
            statuses.append(phone.invite().status)
            if phone.line is not None:
                phone.line.sending = False
    assert 200 in statuses and 503 in statuses
    wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 5, "the edge to forget the calls")


def test_a_long_message_is_refused(gate: tuple[Edge, SipEnd]) -> None:
    edge, end = gate
    before = end.invitations()
    with edge.phone() as phone:
        assert phone.transact(phone.request("INVITE", phone.sdp(extra="a=x\r\n" * 2000))).status == 513
    assert end.invitations() == before


def test_a_call_that_goes_in_circles_ends(gate: tuple[Edge, SipEnd]) -> None:
    edge, _ = gate
    with edge.phone() as phone:
        request = phone.request("INVITE", phone.sdp()).replace(b"Max-Forwards: 70", b"Max-Forwards: 0")
        assert phone.transact(request).status == 483


def _up(edge: Edge, end: SipEnd, phone: Phone) -> Message:
    """Sets a call up; gives back the INVITE the lane got."""
    assert phone.invite().status == 200
    phone.talk().sending = False
    return next(m for m in end.of("INVITE") if m.header("Call-ID") == phone.call_id)


def test_a_lane_sends_its_caller_to_whom_the_site_names(gate: tuple[Edge, SipEnd]) -> None:
    edge, end = gate
    with edge.phone() as phone:
        invite = _up(edge, end, phone)
        extra = f"Refer-To: <{_TARGET}?User-to-User=abc%3Bencoding%3Dascii>\r\n"
        extra += f"Referred-By: <sip:lane@{end.address[0]}>"
        with ThreadPoolExecutor(1) as lane:
            done = lane.submit(end.send, "REFER", invite, extra)
            refer = phone.receive(lambda m: not m.status and m.method == "REFER", 3)
            assert refer is not None
            answer = done.result(5)
        assert refer.header("Refer-To") == f"<{_TARGET}?User-to-User=abc%3Bencoding%3Dascii>"
        assert not refer.all("Referred-By")
        assert end.address[0] not in str(refer)
        assert answer is not None and answer.status == 200


@pytest.mark.parametrize(
    "target",
    [
        "sip:00881234567@198.51.100.20",
        "sip:agents@198.51.100.20.evil.example",
        "sip:agents@198.51.100.20;user=phone",
        "sips:agents@198.51.100.20",
        "tel:+881234567",
        "sip:agents@198.51.100.20@evil.example",
    ],
)
def test_a_lane_sends_its_caller_to_nobody_else(gate: tuple[Edge, SipEnd], target: str) -> None:
    edge, end = gate
    with edge.phone() as phone:
        invite = _up(edge, end, phone)
        done = end.send("REFER", invite, f"Refer-To: <{target}>")
        assert done is not None and done.status in (400, 603)
        assert phone.receive(lambda m: not m.status and m.method == "REFER", 0.2) is None


def test_nobody_moves_a_lane(gate: tuple[Edge, SipEnd]) -> None:
    edge, end = gate
    with edge.phone() as phone:
        _up(edge, end, phone)
        refused = phone.transact(phone.request("REFER", extra="Refer-To: <sip:+881234567@evil.example>"))
        assert refused.status == 603
        assert not end.of("REFER")


def test_a_call_belongs_to_the_trunk_that_began_it(gate: tuple[Edge, SipEnd], at: Addresses) -> None:
    edge, end = gate
    with edge.phone() as phone:
        _up(edge, end, phone)
        with edge.phone(host=at(11)) as other:
            other.call_id, other.from_tag, other.to = phone.call_id, phone.from_tag, phone.to
            other.target, other.cseq = phone.target, phone.cseq
            assert other.transact(other.request("BYE")).status == 481
        with Phone((edge.inside, edge.port), host=end.address[0]) as lane:
            lane.call_id, lane.from_tag, lane.to = phone.call_id, phone.from_tag, phone.to
            assert lane.transact(lane.request("BYE")).status == 481
        assert edge.calls() == 1
        assert not [m for m in end.of("BYE") if m.header("Call-ID") == phone.call_id]


def test_a_request_of_no_call_is_refused(gate: tuple[Edge, SipEnd]) -> None:
    edge, _ = gate
    with edge.phone() as phone:
        phone.to += ";tag=nobody"
        assert phone.transact(phone.request("BYE")).status == 481


def test_what_the_lane_calls_itself_stays_inside(gate: tuple[Edge, SipEnd]) -> None:
    edge, end = gate
    with edge.phone() as phone:
        _up(edge, end, phone)
        assert not phone.answer.all("Server") and not phone.answer.all("Warning")
        assert end.address[0] not in phone.answer.body


def test_a_flood_of_strangers_does_not_keep_callers_out(at: Addresses) -> None:
    with SipEnd(at(32)) as end, Edge(at, [end.address], flood_requests=20) as edge:
        with edge.phone(host=at(66)) as stranger, edge.phone() as phone:
            packet = stranger.request("INVITE", "x" * 400)
            began = time.monotonic()
            for number in range(3000):
                stranger.send(packet)
                if number == 1500:
                    assert phone.invite().status == 200
                    phone.talk().sending = False
            took = time.monotonic() - began
        assert took < 30
        blocked = edge.ask("pike_list")
        assert at(66) in str(blocked)
        assert at(10) not in str(blocked)


def test_calls_beyond_what_the_relay_may_carry_are_refused(at: Addresses) -> None:
    with SipEnd(at(32)) as end, Edge(at, [end.address], relay_sessions=1) as edge:
        with edge.phone() as one, edge.phone() as two:
            assert one.invite().status == 200
            one.talk().sending = False
            refused = two.invite()
            assert (refused.status, refused.header("Retry-After")) == (503, "5")
            assert end.invitations() == 1
        wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 5, "the edge to forget the calls")


def test_keepalived_is_told_whether_this_edge_can_take_calls(at: Addresses, tmp_path: Path) -> None:
    with SipEnd(at(32)) as end, Edge(at, [end.address]) as edge:
        command.alive(edge.settings)
        command.leave(edge.settings, True)
        with pytest.raises(command.EdgeError, match="takes no new calls"):
            command.alive(edge.settings)
        command.leave(edge.settings, False)
        assert edge.rtpengine is not None
        edge.rtpengine.kill()
        edge.rtpengine.wait()
        with pytest.raises(command.EdgeError, match="rtpengine"):
            command.alive(edge.settings)
        with edge.phone() as phone:
            assert phone.invite().status == 503
        edge.stop()
        with pytest.raises(command.EdgeError, match="OPTIONS"):
            command.alive(edge.settings)


def test_the_edge_tells_its_metrics(gate: tuple[Edge, SipEnd]) -> None:
    edge, _ = gate
    with socket.create_connection((edge.inside, 9441), 5) as channel:
        channel.sendall(f"GET /metrics HTTP/1.1\r\nHost: {edge.inside}\r\nConnection: close\r\n\r\n".encode())
        text = b"".join(iter(lambda: channel.recv(65536), b"")).decode()
    asked = set()
    for folder in ("prometheus/files/rules", "grafana/files/dashboards"):
        for path in (ROOT / "roles" / folder).iterdir():
            asked |= set(re.findall(r"\bopensips_\w+", path.read_text()))
    assert "opensips_active_dialogs" in asked
    assert asked - set(re.findall(r"^opensips_\w+", text, re.MULTILINE)) == set()


def test_a_hang_up_repeated_is_answered_again(gate: tuple[Edge, SipEnd]) -> None:
    edge, end = gate
    with edge.phone() as phone:
        _up(edge, end, phone)
        bye = phone.request("BYE")
        assert phone.transact(bye).status == 200
        phone.up = False
        wait_until(lambda: edge.calls() == 0, 5, "the edge to forget the call")
        # Its answer was lost.
        assert phone.transact(bye).status == 200


def test_nothing_but_metrics_of_the_relay_is_told_outside(at: Addresses) -> None:
    with SipEnd(at(32)) as end, Edge(at, [end.address]) as edge:
        assert edge.relay_http
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((edge.inside, edge.relay_http), 1).close()
        program = RELAY / "files" / "rtpengine_metrics.py"
        url = f"http://127.0.0.1:{edge.relay_http}/metrics"
        passing = subprocess.Popen([sys.executable, str(program), edge.inside, "9440", url])
        try:
            wait_until(lambda: _status(edge, "GET /metrics") != 0, 10, "the metrics to be passed on")
            assert _status(edge, "GET /metrics") == 200
            for asked in ("GET /cli/list%20totals", "GET /ping", "GET /", "POST /ng"):
                assert _status(edge, asked) in (404, 501)
            assert (
                _status(edge, "GET /", "Upgrade: websocket\r\nSec-WebSocket-Protocol: ng.rtpengine.com\r\n")
                == 404
            )
        finally:
            passing.terminate()
            passing.wait(5)


def _status(edge: Edge, asked: str, extra: str = "") -> int:
    """The status of an HTTP request to where metrics are told; 0 where nobody listens."""
    try:
        with socket.create_connection((edge.inside, 9440), 2) as channel:
            channel.sendall(f"{asked} HTTP/1.1\r\nHost: x\r\n{extra}Content-Length: 0\r\n\r\n".encode())
            return int(channel.recv(4096).split()[1])
    except ConnectionRefusedError:
        return 0
