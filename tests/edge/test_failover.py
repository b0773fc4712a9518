"""Lanes that refuse, are silent, die or are taken out, and what their callers notice of it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from edge_lane import EdgeLane
from edge_process import Addresses, Edge, command
from sip_end import SipEnd
from sip_phone import wait_until

LaneMaker = Callable[..., EdgeLane]


def _dial(edge: Edge) -> tuple[int, float]:
    """The status of a call, and how long it took."""
    with edge.phone() as phone:
        began = time.monotonic()
        answer = phone.invite()
        took = time.monotonic() - began
        if phone.line is not None:
            phone.line.sending = False
    return answer.status, took


@pytest.mark.parametrize("status", [480, 486, 500, 503])
def test_a_lane_that_refuses_is_passed_by(at: Addresses, status: int) -> None:
    with (
        SipEnd(at(41), status=status) as refusing,
        SipEnd(at(42)) as willing,
        Edge(at, [refusing.address, willing.address]) as edge,
    ):
        assert [_dial(edge)[0] for _ in range(4)] == [200] * 4
        assert willing.invitations() == 4
        # Refusing one call is no fault: it is offered the next.
        assert all(lane["up"] for lane in edge.lanes().values())


def test_a_lanes_word_about_the_call_itself_is_the_callers(at: Addresses) -> None:
    with SipEnd(at(41), status=488) as lane, SipEnd(at(42)) as other, Edge(at, [lane.address]) as edge:
        assert _dial(edge)[0] == 488
        assert (lane.invitations(), other.invitations()) == (1, 0)
        assert (edge.calls(), edge.media()) == (0, 0)


def test_a_silent_host_costs_one_caller_a_second_and_the_next_nothing(at: Addresses) -> None:
    with (
        SipEnd(at(41), status=0) as silent,
        SipEnd(at(41), port=5071, status=0) as its_neighbour,
        SipEnd(at(42)) as willing,
        # No probe within this test: who finds out is the caller.
        Edge(at, [silent.address, its_neighbour.address, willing.address], probe_seconds=600) as edge,
    ):
        results = [_dial(edge) for _ in range(4)]
        assert [status for status, _ in results] == [200] * 4
        slow = [took for _, took in results if took > 0.5]
        assert len(slow) <= 1 and all(took < 2.5 for took in slow)
        if slow:
            up = {lane["address"]: lane["up"] for lane in edge.lanes().values()}
            assert not up[f"{at(41)}:5070"] and not up[f"{at(41)}:5071"]
            assert up[f"{at(42)}:5070"]


def test_a_silent_lane_does_not_take_its_neighbour_with_it_where_there_is_no_other_host(
    at: Addresses,
) -> None:
    with (
        SipEnd(at(41), status=0) as silent,
        SipEnd(at(41), port=5071) as neighbour,
        Edge(at, [silent.address, neighbour.address], probe_seconds=600) as edge,
    ):
        assert [_dial(edge)[0] for _ in range(3)] == [200] * 3
        up = {lane["address"]: lane["up"] for lane in edge.lanes().values()}
        assert up[f"{at(41)}:5071"]


def test_probes_put_a_silent_lane_aside_and_take_it_back(at: Addresses) -> None:
    with SipEnd(at(41)) as lane, Edge(at, [lane.address], probe_seconds=1) as edge:
        lane.probes = 0
        wait_until(lambda: not next(iter(edge.lanes().values()))["up"], 10, "the lane to be put aside")
        assert _dial(edge)[0] == 503
        lane.probes = 200
        wait_until(lambda: bool(next(iter(edge.lanes().values()))["up"]), 10, "the lane to be taken back")
        assert _dial(edge)[0] == 200


def test_a_draining_lane_gets_no_calls(at: Addresses, make_lane: LaneMaker) -> None:
    lane = make_lane(21)
    with SipEnd(at(42)) as other, Edge(at, [lane.address, other.address], probe_seconds=1) as edge:
        lane.drain()
        wait_until(lambda: not edge.lanes()["host21/0-0"]["up"], 10, "the edge to hear of the drain")
        assert [_dial(edge)[0] for _ in range(3)] == [200] * 3
        assert other.invitations() == 3
        lane.undrain()
        wait_until(lambda: bool(edge.lanes()["host21/0-0"]["up"]), 10, "the edge to hear of its end")


def test_an_operator_takes_a_lane_out_and_back(at: Addresses, capsys: pytest.CaptureFixture[str]) -> None:
    with (
        SipEnd(at(41)) as one,
        SipEnd(at(42)) as two,
        Edge(at, [one.address, two.address], probe_seconds=1) as edge,
    ):
        command.set_drained(edge.settings["socket"], ["host41"], True)
        assert [_dial(edge)[0] for _ in range(3)] == [200] * 3
        assert (one.invitations(), two.invitations()) == (0, 3)
        # Its probes are answered, and still it stays out until the operator says so.
        asked = len(one.of("OPTIONS"))
        wait_until(
            lambda: len(one.of("OPTIONS")) > asked or not edge.lanes()["host41/0-0"]["up"], 5, "a probe"
        )
        assert edge.lanes()["host41/0-0"]["drained"]
        command.show(edge.settings["socket"], as_json=False)
        assert "host41/0-0" in capsys.readouterr().out
        command.set_drained(edge.settings["socket"], ["host41/0-0"], False)
        with edge.phone() as first, edge.phone() as second:
            for phone in (first, second):
                assert phone.invite().status == 200
                phone.talk().sending = False
        assert one.invitations() == 1
        with pytest.raises(command.EdgeError, match=r"gpu9: no lane of this edge; there are host41/0-0"):
            command.set_drained(edge.settings["socket"], ["gpu9"], True)


def test_the_tables_are_read_again_without_forgetting_calls_or_drained_lanes(at: Addresses) -> None:
    with (
        SipEnd(at(41)) as one,
        SipEnd(at(42)) as two,
        Edge(at, [one.address, two.address]) as edge,
        edge.phone() as phone,
    ):
        assert phone.invite().status == 200
        command.set_drained(edge.settings["socket"], ["host41"], True)
        before = {name: lane["calls"] for name, lane in edge.lanes().items()}
        rows = edge.values["opensips_lanes"]
        edge.values["opensips_lanes"] = [
            {**rows[0], "id": rows[0]["id"] + 900, "port": 5099, "name": "0-9"},
            *rows,
        ]
        edge.write()
        # Whoever wrote it was killed before it could be read.
        assert command.unread(edge.settings) == ["tables"]
        assert command.read_tables(edge.settings) == ["tables"]
        assert command.unread(edge.settings) == []
        after = edge.lanes()
        assert "host41/0-9" in after
        assert {name: after[name]["calls"] for name in before} == before
        assert after["host41/0-0"]["drained"]
        phone.talk().sending = False


def test_the_calls_of_a_killed_lane_end_within_ten_seconds(at: Addresses, make_lane: LaneMaker) -> None:
    doomed, other = make_lane(21), make_lane(22)
    with Edge(at, [doomed.address, other.address]) as edge, edge.phone() as one, edge.phone() as two:
        assert [one.invite().status, two.invite().status] == [200, 200]
        killed, kept = (one, two) if doomed.of_call(one.call_id, "attach") else (two, one)
        kept.talk().wait_packets(10)
        os.kill(doomed.process.pid, signal.SIGKILL)
        at_death = time.monotonic()
        assert killed.wait_bye(10), "the caller of the dead lane heard nothing for ten seconds"
        assert time.monotonic() - at_death < 10
        packets = kept.talk().wait_packets(25)
        gaps = [later.at - earlier.at for earlier, later in pairwise(packets)]
        assert max(gaps) < 0.2
        wait_until(lambda: edge.lanes()["host21/0-0"]["calls"] == 0, 5, "the load to return")
        assert edge.media() == 1
        status, took = _dial(edge)
        assert status == 200 and took < 2.5


def test_no_lane_at_all_is_said_at_once(at: Addresses) -> None:
    with SipEnd(at(41), status=503) as full, Edge(at, [full.address]) as edge, edge.phone() as phone:
        answer = phone.invite()
        assert (answer.status, answer.header("Retry-After")) == (503, "5")
        wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 5, "the edge to forget the call")


def test_a_caller_beyond_capacity_is_sent_where_the_bank_wants(at: Addresses) -> None:
    target = "sip:overflow@pbx.bank.example"
    with (
        SipEnd(at(41)) as lane,
        Edge(at, [lane.address], lane_calls=1, overflow="redirect", overflow_target=target) as edge,
        edge.phone() as one,
        edge.phone() as two,
    ):
        assert one.invite().status == 200
        answer = two.invite()
        assert (answer.status, answer.header("Contact")) == (302, f"<{target}>")
        one.talk().sending = False


def test_a_port_nobody_listens_on_is_passed_by(at: Addresses) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((at(41), 0))
        nobody = probe.getsockname()
    with SipEnd(at(42)) as willing, Edge(at, [nobody, willing.address], probe_seconds=600) as edge:
        assert [_dial(edge)[0] for _ in range(3)] == [200] * 3
