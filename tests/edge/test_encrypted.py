"""A trunk on TLS with SRTP: what is encrypted, who is believed, and certificates renewed under live calls."""

from __future__ import annotations

import dataclasses
import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_lane import EdgeLane
from edge_process import Addresses, Edge, command
from sip_phone import wait_until
from tls_phone import Authority, TlsCaller

_NAME = "sbc.carrier.example"


@dataclasses.dataclass
class Site:
    """An edge with an encrypted trunk, its lane, and the two authorities."""

    edge: Edge
    lane: EdgeLane
    bank: Authority
    carrier: Authority
    own: tuple[Path, Path]

    def phone(self, certificate: tuple[Path, Path] | None = None, **options: object) -> TlsCaller:
        edge = (self.edge.address, 5061)
        given = certificate or self.own
        return TlsCaller(edge, self.edge.trunk, self.bank.path, given, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def site(at: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pki")
    bank, carrier = Authority(folder, "bank"), Authority(folder, "carrier")
    certificate, key = bank.issue("opensips.edge1")
    trunks = [
        {"name": "carrier", "addresses": [at(10)], "tls": True, "srtp": True, "names": [_NAME], "calls": 10},
        {"name": "pbx", "addresses": [at(11)], "calls": 10},
    ]
    lane = EdgeLane(tmp_path_factory.mktemp("lane"), at(33))
    try:
        with Edge(
            at,
            [lane.address],
            trunks=trunks,
            certificate=str(certificate),
            key=str(key),
            authority=str(carrier.path),
        ) as edge:
            yield Site(edge, lane, bank, carrier, carrier.issue(_NAME))
    finally:
        lane.close()


def test_a_call_is_encrypted_outside_and_plain_inside(site: Site) -> None:
    with site.phone() as phone:
        answer = phone.invite()
        assert answer.status == 200, answer.start
        assert "RTP/SAVP" in answer.body
        line = phone.talk()
        packets = line.wait_packets(50)
        # The lane echoes what it hears: the silence we sent came back through both directions of SRTP.
        assert {bytes(packet.payload) for packet in packets[10:]} == {line.frame}
        assert phone.secure is not None and phone.secure.foreign == 0
        line.digit(7)
        wait_until(lambda: len(site.lane.of_call(phone.call_id, "digit")) == 1, 5, "a digit")
    wait_until(lambda: (site.edge.calls(), site.edge.media()) == (0, 0), 5, "the edge to forget the call")


def test_the_lane_hangs_up_over_the_connection_the_trunk_opened(site: Site) -> None:
    with site.phone() as phone:
        phone.called = "hangup"
        phone.target = phone.target.replace("echo", "hangup")
        assert phone.invite().status == 200
        assert phone.wait_bye(10)


def test_sound_in_clear_is_refused_where_it_is_to_be_encrypted(site: Site) -> None:
    with site.phone(srtp=False) as phone:
        assert phone.invite().status == 488


def test_a_trunk_on_tls_is_no_flood(site: Site) -> None:
    with site.phone() as phone:
        for _ in range(3 * site.edge.values["opensips_flood_requests"]):
            assert phone.transact(phone.request("OPTIONS")).status == 200
    assert site.edge.trunk not in str(site.edge.ask("pike_list"))


def test_a_trunk_on_tls_does_not_get_in_without(site: Site) -> None:
    with site.edge.phone() as phone:
        phone.send(phone.request("INVITE", phone.sdp()))
        assert phone.receive(lambda m: m.status > 0, 0.5) is None


def test_another_trunk_may_do_without(site: Site, at: Addresses) -> None:
    with site.edge.phone(host=at(11)) as phone:
        assert phone.invite().status == 200


def _refused(site: Site, certificate: tuple[Path, Path] | None, **options: object) -> bool:
    """True when the edge ends the handshake, or the connection right after it (TLS 1.3 tells then)."""
    edge = (site.edge.address, 5061)
    try:
        with TlsCaller(edge, site.edge.trunk, site.bank.path, certificate, **options) as phone:  # type: ignore[arg-type]
            phone.send(phone.request("OPTIONS"))
            return phone.receive(lambda m: m.status > 0, 1) is None
    except (ssl.SSLError, ConnectionError):
        return True


def test_who_shows_no_certificate_is_refused(site: Site) -> None:
    assert _refused(site, None)


def test_a_certificate_somebody_else_signed_is_refused(site: Site, tmp_path: Path) -> None:
    assert _refused(site, Authority(tmp_path, "stranger").issue(_NAME))


def test_an_expired_certificate_is_refused(site: Site) -> None:
    assert _refused(site, site.carrier.issue(_NAME, days=-1, file="expired"))


def test_a_certificate_of_another_name_is_no_trunk(site: Site) -> None:
    assert _refused(site, site.carrier.issue("sbc.other.example"))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_old_tls_is_refused(site: Site) -> None:
    assert _refused(site, site.own, versions=(ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_tls_is_taken(site: Site, version: ssl.TLSVersion) -> None:
    with site.phone(versions=(version, version)) as phone:
        assert phone.transact(phone.request("OPTIONS")).status == 200


def test_a_renewed_certificate_is_shown_to_the_next_while_calls_go_on(site: Site) -> None:
    with site.phone() as before:
        assert before.invite().status == 200
        site.bank.issue("opensips.edge1")
        command.renew_certificates(site.edge.settings)
        with site.phone() as after:
            assert after.peer != before.peer
            assert after.invite().status == 200
            after.talk().wait_packets(10)
        before.talk().wait_packets(10)
        assert before.invite().status == 200


def test_sound_from_elsewhere_is_not_heard(site: Site) -> None:
    with site.phone() as phone, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as spoofer:
        assert phone.invite().status == 200
        line = phone.talk()
        # rtpengine learns for three seconds where the caller's sound comes from.
        line.wait_packets(160, seconds=6)
        spoofer.bind((site.edge.at(77), 0))
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            spoofer.sendto(os.urandom(182), line.remote)
            time.sleep(0.005)
        packets = line.wait_packets(25)
        assert {bytes(packet.payload) for packet in packets} == {line.frame}
