"""Daemons that hang, give up or are killed, on a server with calls."""

from __future__ import annotations

import time

import pytest
import watching
from hosts import Host, wait_for
from installation import Appliance, Run
from watching import main_process


def test_a_lane_that_is_gone_is_told_and_told_when_it_is_back(teller1: Host, installed: Run) -> None:
    teller1.ssh("systemctl stop tellerline-pipeline@cpu-1")
    wait_for(lambda: "LaneDown" in watching.alerts(teller1), "the alert", 180)
    teller1.ssh("systemctl start tellerline-pipeline@cpu-1")
    wait_for(lambda: "LaneDown" not in watching.alerts(teller1), "its end", 180)


@pytest.mark.parametrize("unit", ["pipeline@cpu-1", "connector@cpu-1", "session", "banking", "engine@cpu"])
def test_a_daemon_that_hangs_is_killed_by_its_watchdog(unit: str, teller1: Host, installed: Run) -> None:
    name = f"tellerline-{unit}.service"
    before = main_process(teller1, name)
    teller1.ssh("systemctl", "kill", "--signal=STOP", "--kill-who=main", name)
    wait_for(lambda: main_process(teller1, name) not in ("0", before), f"{name} to be back", 120)
    said = teller1.ssh("journalctl", "--boot", "--no-pager", "--unit", name).stdout
    assert f"Killing process {before}" in said and "watchdog timeout" in said.lower()


def test_a_unit_that_gave_up_is_told_and_tried_again(teller1: Host, installed: Run) -> None:
    settings, name = "/etc/tellerline/pipeline@cpu-1.yml", "tellerline-pipeline@cpu-1.service"
    teller1.ssh(
        f"cp -p {settings} /run/kept.yml; echo 'wrong: 1' >> {settings}; systemctl restart {name}",
        check=False,
    )
    wait_for(
        lambda: teller1.ssh("systemctl", "is-failed", name, check=False).stdout == "failed\n",
        "it to fail",
        60,
    )
    wait_for(lambda: name in teller1.ssh("journalctl --no-pager -p alert").stdout, "the alarm", 20)
    teller1.ssh(f"cp -p /run/kept.yml {settings}")
    # Nobody starts it.
    wait_for(lambda: main_process(teller1, name) != "0", f"{name} to be tried again", 150)


@pytest.mark.parametrize(
    "unit",
    [
        "tellerline-pipeline@cpu-0",
        "tellerline-connector@cpu-0",
        "tellerline-session",
        "tellerline-banking",
        "tellerline-engine@cpu",
        "redis-server",
        "postgresql@15-main",
    ],
)
def test_a_killed_daemon_is_back_and_calls_on_the_other_lane_hear_nothing_of_it(
    unit: str, server: Appliance, teller1: Host, installed: Run
) -> None:
    if not server.edge:
        pytest.skip("no OpenSIPS in the bundle: nothing to spread calls with")
    before = main_process(teller1, unit)
    callers = server.callers(server.number("teller1"), calls=4, seconds=25)
    on_lane_0 = server.live_calls("teller1", 0)
    assert 0 < on_lane_0 < 4
    killed_ns = time.monotonic_ns()
    teller1.ssh("kill", "-9", before)
    wait_for(lambda: main_process(teller1, unit) not in ("0", before), f"{unit} to be back", 120)
    calls = callers.finish()
    assert all(call.answered_ns < killed_ns < call.ended_ns for call in calls)
    undisturbed = [call for call in calls if call.ended_by == "caller" and call.longest_gap_ms <= 200]
    # Only a connector has calls to lose: those of its own lane.
    assert len(undisturbed) >= (4 - on_lane_0 if "connector" in unit else 4), calls
