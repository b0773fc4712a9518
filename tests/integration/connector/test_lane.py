"""A connector process, a pipeline process and a caller: what holds when either dies."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import pairwise

import pytest
import yaml
from lane_processes import LaneMaker, LaneProcesses, as_heard
from sip_phone import Phone, wait_until

# A frame no phrase contains, so that hearing it means the pipeline echoes.
_SAID = b"\x9a" * 160


def _hears(phone: Phone, payload: bytes, seconds: float = 5.0) -> None:
    """Waits for a packet of `payload` among those that arrive from now on."""
    line = phone.talk()
    start = len(line.packets)
    wait_until(lambda: any(p.payload == payload for p in line.packets[start:]), seconds, "a payload")


def _never_silent(phone: Phone) -> None:
    packets = list(phone.talk().packets)
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets)), "a packet is missing"
    assert max(b.at - a.at for a, b in pairwise(packets)) < 0.5, "RTP stopped"


def _calling(lane: LaneProcesses, phone: Phone) -> None:
    assert phone.invite().status == 200
    phone.talk().frame = _SAID
    _hears(phone, _SAID)


def test_a_caller_is_echoed_and_recorded(make_lane: LaneMaker) -> None:
    lane = make_lane()
    with lane.phone() as phone:
        _calling(lane, phone)
        assert lane.wait_record("open")["sip_call_id"] == phone.call_id
        assert phone.bye().status == 200
    record = lane.wait_record("closed")
    assert (record["reason"], record["codec"], record["attaches"]) == ("caller", "PCMU", 1)
    assert (record["caller"], record["called"]) == ("phone", "echo")


def test_a_dying_pipeline_is_forgiven_once(make_lane: LaneMaker) -> None:
    lane = make_lane()
    with lane.phone() as phone:
        _calling(lane, phone)
        lane.kill_pipeline()
        _hears(phone, as_heard("apology"))
        lane.start_pipeline()
        _hears(phone, _SAID, 10)
        lane.kill_pipeline()
        _hears(phone, as_heard("goodbye"))
        assert phone.wait_bye()
        _never_silent(phone)
    record = lane.wait_record("closed")
    assert (record["reason"], record["attaches"]) == ("pipeline_lost", 2)
    assert lane.log("pipeline").count("resume=True") == 1


def test_a_hanging_pipeline_is_a_dead_one(make_lane: LaneMaker) -> None:
    lane = make_lane()
    with lane.phone() as phone:
        _calling(lane, phone)
        lane.pipeline.send_signal(signal.SIGSTOP)
        _hears(phone, as_heard("apology"))
        # It answers no health check, so this is not counted as a second death.
        lane.pipeline.send_signal(signal.SIGCONT)
        _hears(phone, _SAID, 10)
        _never_silent(phone)


def test_a_lane_whose_pipeline_hangs_takes_no_calls(make_lane: LaneMaker) -> None:
    lane = make_lane()
    assert lane.options() == 200
    lane.pipeline.send_signal(signal.SIGSTOP)
    wait_until(lambda: lane.options() == 503, 10, "OPTIONS to be refused")
    with lane.phone() as phone:
        assert phone.invite().status == 503
    lane.pipeline.send_signal(signal.SIGCONT)
    wait_until(lambda: lane.options() == 200, 10, "OPTIONS to be accepted again")
    with lane.phone() as phone:
        _calling(lane, phone)


def test_a_pipeline_that_stays_away_ends_the_call_politely(make_lane: LaneMaker) -> None:
    lane = make_lane(reattach_seconds=1)
    with lane.phone() as phone:
        _calling(lane, phone)
        lane.kill_pipeline()
        _hears(phone, as_heard("goodbye"))
        assert phone.wait_bye()
    assert lane.wait_record("closed")["reason"] == "pipeline_lost"
    with lane.phone() as phone:
        refused = phone.invite()
        assert (refused.status, refused.header("Retry-After")) == (503, "5")


def test_a_killed_connector_leaves_one_record_a_call(make_lane: LaneMaker) -> None:
    lane = make_lane()
    with lane.phone() as phone:
        _calling(lane, phone)
        lane.connector.kill()
        lane.connector.wait()
        assert lane.wait_record("open")["sip_call_id"] == phone.call_id
        lane.start_connector()
        lane.wait_ready()
        record = lane.wait_record("orphaned")
        assert (record["sip_call_id"], record["reason"]) == (phone.call_id, "lost")


def test_sigterm_lets_a_call_finish(make_lane: LaneMaker) -> None:
    lane = make_lane()
    with lane.phone() as phone:
        _calling(lane, phone)
        lane.connector.terminate()
        wait_until(lambda: _refused(lane), 5, "new calls to be refused")
        _hears(phone, _SAID)
        assert phone.bye().status == 200
    assert lane.connector.wait(10) == 0
    # The probing INVITEs may have been answered before the signal was handled.
    [record] = [record for record in lane.records() if record["sip_call_id"] == phone.call_id]
    assert (record["state"], record["reason"]) == ("closed", "caller")


def test_sigterm_ends_a_call_at_the_limit(make_lane: LaneMaker) -> None:
    lane = make_lane(drain_seconds=1)
    with lane.phone() as phone:
        _calling(lane, phone)
        lane.connector.terminate()
        assert phone.wait_bye()
    assert lane.connector.wait(10) == 0
    assert lane.wait_record("closed")["reason"] == "drained"


@pytest.mark.parametrize("allowed", [{"transfer_targets": ("sip:desk@127.0.0.1:5299",)}, {}])
def test_a_target_that_is_not_the_sites_is_never_called(
    make_lane: LaneMaker, allowed: dict[str, tuple[str, ...]]
) -> None:
    lane = make_lane(transfer_target="sip:thief@127.0.0.1:5299", **allowed)
    with lane.phone("transfer") as phone:
        _calling(lane, phone)
        wait_until(lambda: "transfer: 403 final=True" in lane.log("pipeline"), 5, "the refusal")
        assert phone.receive(lambda m: m.method == "REFER", 0.5) is None
        _hears(phone, _SAID)


def _refused(lane: LaneProcesses) -> bool:
    with lane.phone() as phone:
        return bool(phone.invite().status == 503)


def _start_with(lane: LaneProcesses, **changes: object) -> tuple[int, str]:
    """Exit status and output of a connector with these settings changed."""
    data = yaml.safe_load(lane.config.read_text())
    sip = changes.pop("sip", {})
    config = lane.folder / "wrong.yml"
    data |= {"control_socket": str(lane.folder / "wrong.sock"), **changes}
    data["sip"] |= {"port": data["sip"]["port"] + 25, **sip}  # type: ignore[dict-item]
    config.write_text(yaml.safe_dump(data))
    done = subprocess.run(
        [sys.executable, "-m", "tellerline", "connector", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_a_wrong_start_says_what_is_wrong(make_lane: LaneMaker) -> None:
    lane = make_lane()
    status, said = _start_with(lane, sip={"lane_calls": 64})
    assert status == 2
    assert said.startswith("tellerline: sip.lane_calls: 64 is more than the 4 calls")
    status, said = _start_with(lane, phrases=str(lane.folder / "none"))
    assert status == 2
    assert "apology.wav" in said
    status, said = _start_with(lane, sip={"port": lane.settings.sip.port})
    assert status == 2
    assert f"SIP on 127.0.0.1:{lane.settings.sip.port} cannot start" in said
