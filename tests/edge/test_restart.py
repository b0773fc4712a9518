"""What a restart of OpenSIPS, a crash of it, or a wrong configuration does to the phone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from edge_process import ROLE, Addresses, Edge
from sip_end import SipEnd
from sip_phone import wait_until


def test_a_restart_leaves_calls_standing(at: Addresses) -> None:
    with SipEnd(at(31)) as end, Edge(at, [end.address]) as edge, edge.phone() as phone:
        assert phone.invite().status == 200
        phone.talk().sending = False
        edge.stop()
        edge.start()
        assert edge.calls() == 1
        assert next(iter(edge.lanes().values()))["calls"] == 1
        # A hold and its end, then the caller hangs up: the dialog is whole.
        assert phone.invite(phone.sdp(extra="a=sendonly\r\n")).status == 200
        assert phone.bye().status == 200
        wait_until(lambda: len(end.of("BYE")) == 1, 5, "the lane to hear of the end")
        wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 5, "the edge to forget the call")


def test_a_call_that_ended_before_a_restart_does_not_come_back(at: Addresses) -> None:
    with SipEnd(at(31)) as end, Edge(at, [end.address]) as edge:
        with edge.phone() as phone:
            assert phone.invite().status == 200
            phone.talk().sending = False
            edge.stop()
            edge.start()
        wait_until(lambda: edge.calls() == 0, 5, "the call to end")
        edge.stop()
        edge.start()
        assert edge.calls() == 0


def test_after_a_crash_calls_are_taken_at_once(at: Addresses) -> None:
    with SipEnd(at(31)) as end, Edge(at, [end.address]) as edge:
        with edge.phone() as lost:
            assert lost.invite().status == 200
            lost.talk().sending = False
            lost.up = False
            edge.kill()
            edge.start()
        with edge.phone() as phone:
            assert phone.invite().status == 200
            phone.talk().sending = False


@pytest.mark.skipif(os.geteuid() != 0, reason="a rehearsal makes namespaces: root alone may")
class TestRehearsal:
    """`tellerline-edge check`, which the role's template is validated with."""

    def _check(self, edge: Edge) -> subprocess.CompletedProcess[str]:
        program = ROLE / "files" / "tellerline_edge.py"
        command = [sys.executable, str(program), "--settings", str(edge.folder / "edge.json"), "check"]
        return subprocess.run([*command, str(edge.config)], capture_output=True, text=True, timeout=60)

    def test_a_good_configuration_passes_beside_the_one_that_runs(self, at: Addresses) -> None:
        with SipEnd(at(31)) as end, Edge(at, [end.address]) as edge, edge.phone() as phone:
            assert phone.invite().status == 200
            phone.talk().sending = False
            done = self._check(edge)
            assert done.returncode == 0, done.stderr
            assert edge.calls() == 1

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ('modparam("dialog", "options_ping_interval", "five")', "options_ping_interval"),
            ('modparam("load_balancer", "db_url", "text:///nowhere")', "load_balancer"),
            ("socket = udp:300.1.1.1:5060", "300.1.1.1"),
            ("route[broken] { t_relay(; }", "syntax"),
        ],
    )
    def test_a_wrong_one_is_told_of(self, at: Addresses, wrong: str, said: str) -> None:
        edge = Edge(at, [(at(31), 5070)])
        try:
            edge.config.write_text(edge.config.read_text() + "\n" + wrong + "\n")
            done = self._check(edge)
            assert done.returncode == 1
            assert said in done.stderr
        finally:
            edge.close()

    def test_a_missing_certificate_is_told_of(self, at: Addresses) -> None:
        trunks = [{"name": "c", "addresses": [at(10)], "tls": True, "names": ["x"], "calls": 1}]
        edge = Edge(at, [(at(31), 5070)], trunks=trunks)
        try:
            assert shutil.which("unshare")
            done = self._check(edge)
            assert done.returncode == 1
            assert "tls_mgm" in done.stderr
        finally:
            edge.close()
