"""Lanes taken away under live calls: stopped, drained, taken out of the inventory. Nobody is cut off."""

from __future__ import annotations

import json

import pytest
from hosts import Host, wait_for
from installation import Appliance, Run
from watching import main_process


@pytest.mark.parametrize(
    ("away", "back"),
    [
        ("systemctl stop tellerline-connector@cpu-0", "systemctl start tellerline-connector@cpu-0"),
        ("systemctl stop tellerline-pipeline@cpu-0", "systemctl start tellerline-pipeline@cpu-0"),
        ("tellerline drain cpu-0", "tellerline undrain cpu-0"),
    ],
)
def test_no_live_call_is_cut_by_taking_a_lane_away(
    away: str, back: str, server: Appliance, teller1: Host, installed: Run
) -> None:
    if not server.edge:
        pytest.skip("no OpenSIPS in the bundle: nothing to spread calls with")
    callers = server.callers(server.number("teller1"), calls=4, seconds=20)
    on_lane_0 = server.live_calls("teller1", 0)
    teller1.ssh(away)
    try:
        answered = server.answers(server.number("teller1"))
        calls = callers.finish()
    finally:
        teller1.ssh(back)
    assert on_lane_0 > 0
    # Who called meanwhile was answered by the other lane.
    assert answered
    assert [call.ended_by for call in calls] == ["caller"] * 4, calls
    wait_for(lambda: _takes_calls(server, lane=0), "the lane to take calls again", 60)


def _takes_calls(server: Appliance, lane: int) -> bool:
    callers = server.callers(server.number("teller1"), calls=2, seconds=1)
    taken = server.live_calls("teller1", lane) > 0
    callers.finish()
    return taken


def test_what_is_older_than_its_settings_is_started_anew_and_nothing_else(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    lanes = [f"{daemon}@cpu-{lane}" for daemon in ("pipeline", "connector") for lane in range(server.lanes)]
    units = [f"tellerline-{name}" for name in (*lanes, "engine@cpu", "session", "banking")]
    before = {unit: main_process(teller1, unit) for unit in units}
    # As a run leaves them that was killed after it had written, and before it restarted.
    teller1.ssh("touch /etc/tellerline/connector@cpu-1.yml")
    server.play("playbooks/gpu.yml")
    after = {unit: main_process(teller1, unit) for unit in units}
    assert {unit for unit in units if after[unit] != before[unit]} == {"tellerline-connector@cpu-1"}
    assert server.play("playbooks/gpu.yml").changed == 0


def test_a_lane_taken_out_of_the_inventory_has_its_calls_end_first(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    if not server.edge:
        pytest.skip("no OpenSIPS in the bundle: nothing to spread calls with")
    callers = server.callers(server.number("teller1"), calls=4, seconds=30)
    assert server.live_calls("teller1", 1) > 0
    server.play("playbooks/gpu.yml", "-e", json.dumps({"tellerline_lanes": 1}))
    calls = callers.finish()
    assert [call.ended_by for call in calls] == ["caller"] * 4, calls
    assert "cpu-1" not in teller1.ssh("ls /etc/tellerline").stdout
    assert main_process(teller1, "tellerline-connector@cpu-1") == "0"
    server.play("playbooks/gpu.yml")
    wait_for(lambda: _takes_calls(server, lane=1), "the lane to take calls again", 60)


def test_the_drain_playbook_leaves_nobody_without_a_lane(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    refused = server.play("playbooks/drain.yml", check=False)
    assert refused.status != 0
    assert "No lane of the site would take calls" in refused.output
    if not server.edge:
        pytest.skip("no OpenSIPS in the bundle: nothing to spread calls with")
    callers = server.callers(server.number("teller1"), calls=4, seconds=20)
    assert server.live_calls("teller1", 0) > 0
    server.play("playbooks/drain.yml", "-e", json.dumps({"drain_lanes": ["cpu-0"]}))
    assert server.live_calls("teller1", 0) == 0
    assert server.answers(server.number("teller1"))
    calls = callers.finish()
    assert [call.ended_by for call in calls] == ["caller"] * 4, calls
    server.play("playbooks/drain.yml", "-e", json.dumps({"drain_lanes": ["cpu-0"], "drain_back": True}))
    wait_for(lambda: _takes_calls(server, lane=0), "the lane to take calls again", 60)
