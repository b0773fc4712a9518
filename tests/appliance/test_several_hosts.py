"""Two edges, two hosts of three lanes each, and the data beside them: spreading calls, and losing a host."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import next_release
import pytest
import yaml
from hosts import NETWORK, Host, wait_for
from installation import Appliance, Call, Run, bundle

_LANES = 3
# Where the trunk calls: on one of the edges.
_NUMBER_ADDRESS = str(NETWORK[100])
_NUMBER = f"sip:1000@{_NUMBER_ADDRESS}:5060"
# A caller whom the trunk sends while an edge dies is answered by the other within this.
_EDGE_SECONDS = 5
# A caller whom a dead host's silence reached first hears the next host by then.
_NEXT_CALL_MS = 2500


@pytest.fixture(scope="module")
def bank(appliance: Callable[..., Appliance]) -> Appliance:
    """The example's site as shipped, and a second data host with Redis: PostgreSQL can go alone."""
    made = appliance(
        "example-bank",
        *("edge1", "edge2", "gpu1", "gpu2", "data1", "data2", "monitoring1"),
        tellerline_lanes=_LANES,
        tellerline_virtual_address=_NUMBER_ADDRESS,
        tellerline_redis_url="rediss://{{ hostvars['data2'].tellerline_address }}:6379/0",
    )
    if not made.edge:
        pytest.skip("no OpenSIPS in the bundle: nothing to spread calls with")
    hosts = made.folder / "hosts.yml"
    groups = yaml.safe_load(hosts.read_text())
    for name in ("data", "sandbox_bank"):
        groups["all"]["children"][name]["hosts"]["data2"] = None
    hosts.write_text(yaml.safe_dump(groups))
    # The processors stand in for GPUs, beside which the lanes are the limit. These callers only press keys.
    # How fast an engine answers while seven hosts work on the same processors is no reason to refuse one, nor
    # to put one through to a person.
    stand_in = {
        "tellerline_gpus": ["cpu"],
        "engine_max_calls": 4 * _LANES,
        "engine_settings": {"admission": {"turn_deadline_ms": 20_000}},
        "lane_pipeline_settings": {"limits": {"turn_deadline_ms": 20_000}},
    }
    (made.folder / "group_vars" / "gpu.yml").write_text(yaml.safe_dump(stand_in))
    return made


@pytest.fixture(scope="module")
def installed(bank: Appliance) -> Run:
    return bank.play("site.yml")


def test_calls_are_spread_over_hosts_and_lanes(bank: Appliance, installed: Run) -> None:
    callers = bank.callers(_NUMBER, calls=6, seconds=20)
    lanes = Counter[str]()
    for name in ("gpu1", "gpu2"):
        for lane in range(_LANES):
            lanes[f"{name} {lane}"] = bank.live_calls(name, lane)
    calls = callers.finish()
    assert [call.status for call in calls] == [200] * 6
    assert set(lanes.values()) == {1}, lanes


def test_a_host_that_dies_costs_its_own_calls_and_the_next_caller_hardly_waits(
    bank: Appliance, installed: Run
) -> None:
    gpu1 = bank.host("gpu1")
    callers = bank.callers(_NUMBER, calls=4, seconds=40)
    lost = sum(bank.live_calls("gpu1", lane) for lane in range(_LANES))
    assert 0 < lost < 4
    killed_ns = time.monotonic_ns()
    gpu1.kill()
    after = bank.callers(_NUMBER, calls=2, seconds=5, apart_ms=100).finish()
    assert [call.status for call in after] == [200] * 2
    waited = [(call.answered_ns - call.invited_ns) / 1e6 for call in after]
    print(f"{lost} of 4 calls were lost; the next two waited {waited[0]:.0f} and {waited[1]:.0f} ms")
    assert max(waited) <= _NEXT_CALL_MS
    calls = callers.finish()
    survived = [
        call for call in calls if call.ended_by == "caller" and call.last_packet_ns > killed_ns + 10**10
    ]
    assert len(survived) == 4 - lost
    for call in survived:
        assert call.longest_gap_ms <= 200, call.gaps
    wait_for(lambda: load(active_edge(bank)) == 0, "the edge's load to return to 0", 60)
    gpu1.start()
    wait_for(
        lambda: lanes_up(active_edge(bank)) == 2 * _LANES, "the dead host's lanes to take calls again", 240
    )


def test_when_the_active_edge_dies_the_other_takes_new_calls(bank: Appliance, installed: Run) -> None:
    active = active_edge(bank)
    active.kill()
    killed_ns = time.monotonic_ns()
    # One every half second: who is sent to an edge that is gone is sent again by the trunk.
    callers = bank.callers(_NUMBER, calls=12, seconds=1, apart_ms=500).finish()
    answered = [call.answered_ns for call in callers if call.status == 200]
    active.start()
    assert answered, "nobody was answered"
    seconds = (min(answered) - killed_ns) / 1e9
    print(f"the other edge answered {seconds:.1f} s after the first was killed")
    assert seconds <= _EDGE_SECONDS
    wait_for(lambda: len([edge for edge in edges(bank) if holds(edge)]) == 1, "one edge to be active", 60)
    assert bank.answers(_NUMBER)


def test_without_the_database_information_comes_from_the_second_instance_and_money_is_closed(
    bank: Appliance, installed: Run
) -> None:
    """data1 has PostgreSQL and the instances lanes ask first; data2 has Redis and the second ones."""
    executed = executions(bank)
    data1 = bank.host("data1")
    told = balances_told(bank)
    with ThreadPoolExecutor() as beside:
        customer = beside.submit(bank.call, scenario("signed_in"), _NUMBER)
        wait_for(lambda: balances_told(bank) > told or customer.done(), "the first balance", 120)
        assert balances_told(bank) > told, customer.result()
        data1.link("down")
        try:
            customer.result()
            # Who calls now is answered, and cannot sign in: a person takes over.
            assert bank.call(scenario("turned_away"), _NUMBER)["passed"]
            assert bank.metric("data2", 9381, "tellerline_banking_closed ") == 1
        finally:
            data1.link("up")
    back(bank)
    assert executions(bank) == executed


def test_without_any_data_host_calls_are_answered_and_handed_to_a_person(
    bank: Appliance, installed: Run
) -> None:
    for name in ("data1", "data2"):
        bank.host(name).link("down")
    try:
        assert bank.call(scenario("nobody_knows"), _NUMBER)["passed"]
    finally:
        for name in ("data1", "data2"):
            bank.host(name).link("up")
    back(bank)


def test_certificates_are_renewed_on_every_host_and_no_call_is_dropped(
    bank: Appliance, installed: Run
) -> None:
    with calls_all_the_time(bank) as calls:
        run = bank.play("playbooks/rotate.yml")
    print(f"rotate.yml took {run.seconds:.0f} s, with {len(calls)} calls")
    assert cut(calls) == []
    back(bank)


def test_the_next_release_and_back_host_by_host_drop_no_call_and_refuse_none(
    bank: Appliance, installed: Run, tmp_path: Path
) -> None:
    made = bundle()
    assert made is not None
    folder, key = next_release.make(made, tmp_path)
    old, new = next_release.version_of(made), next_release.version_of(folder)
    given = {"tellerline_version": new, "tellerline_bundle": str(folder), "tellerline_bundle_key": key}
    ways = {
        new: ("playbooks/upgrade.yml", "-e", json.dumps(given)),
        old: ("playbooks/rollback.yml", "-e", f"to={old}"),
    }
    for version, playbook in ways.items():
        with calls_all_the_time(bank) as calls:
            run = bank.play(*playbook)
        print(f"{playbook[0]} took {run.seconds:.0f} s, with {len(calls)} calls")
        assert cut(calls) == []
        # An edge has the release, and no command of it.
        for host in bank.site.hosts():
            assert host.ssh("readlink /opt/tellerline/current").stdout == f"releases/{version}\n", host.name
    back(bank)


def test_after_a_reboot_of_every_host_the_phone_answers_unattended(bank: Appliance, installed: Run) -> None:
    hosts = bank.site.hosts()
    with ThreadPoolExecutor(len(hosts)) as beside:
        # All at once, so that they come back in whatever order they do.
        for _ in beside.map(lambda host: host.reboot(), hosts):
            pass
    wait_for(lambda: len([edge for edge in edges(bank) if holds(edge)]) == 1, "one edge to be active", 60)
    wait_for(lambda: bank.answers(_NUMBER), "the phone to answer", 180)
    wait_for(lambda: lanes_up(active_edge(bank)) == 2 * _LANES, "every lane to take calls", 240)
    back(bank)
    for host in hosts:
        assert host.ssh("systemctl --failed --plain --no-legend").stdout == "", host.name


def test_every_answered_call_has_one_record(bank: Appliance, installed: Run) -> None:
    """Also those of the dead host, and of the time without a database: spooled, and told when it was back."""
    answered = bank.calls_answered
    assert answered > 10
    # Only calls with a record on the truth's side count; "lost" is what the dead host's may be.
    wait_for(lambda: bank.records("data1") == (answered, 0), f"{answered} records, all closed", 180)


def cut(calls: list[Call]) -> list[Call]:
    """Those that were not answered, or not ended by who called."""
    return [call for call in calls if (call.status, call.ended_by) != (200, "caller")]


@contextlib.contextmanager
def calls_all_the_time(bank: Appliance) -> Iterator[list[Call]]:
    """Callers who come and go while the block lasts, some always on the line; then what became of them."""
    over = threading.Event()
    calls: list[Call] = []

    def ring(seconds: int) -> None:
        while not over.is_set():
            calls.extend(bank.callers(_NUMBER, calls=2, seconds=seconds, apart_ms=3000).finish())

    with ThreadPoolExecutor() as beside:
        # Of different lengths, so that they do not end together.
        ringing = [beside.submit(ring, seconds) for seconds in (18, 30)]
        try:
            yield calls
        finally:
            over.set()
        for ring_done in ringing:
            ring_done.result()


def scenario(name: str) -> str:
    return str(Path(__file__).with_name("scenarios") / f"{name}.yml")


def balances_told(bank: Appliance) -> float:
    """By both instances."""
    series = 'tellerline_banking_operations_total{operation="accounts",outcome="done"}'
    return sum(bank.metric(name, 9381, series) for name in ("data1", "data2"))


def executions(bank: Appliance) -> str:
    """Orders that were begun, ever."""
    psql = "cd / && runuser -u postgres -- psql -At tellerline -c"
    return bank.host("data1").ssh(f"{psql} 'select count(*) from banking.execution'").stdout


def back(bank: Appliance) -> None:
    """Returns when customers are served again, and what was kept meanwhile is stored."""
    wait_for(lambda: bank.call("bank_call", _NUMBER, check=False)["passed"], "the bank", 180)
    answered = bank.calls_answered
    wait_for(lambda: bank.records("data1") == (answered, 0), f"{answered} records, all closed", 180)


def edges(bank: Appliance) -> list[Host]:
    return [bank.host("edge1"), bank.host("edge2")]


def holds(edge: Host) -> bool:
    """Whether the edge has the address the trunk calls."""
    return f"{_NUMBER_ADDRESS}/" in edge.ssh("ip -br address").stdout


def active_edge(bank: Appliance) -> Host:
    (active,) = (edge for edge in edges(bank) if holds(edge))
    return active


def lanes_up(edge: Host) -> int:
    status = json.loads(edge.ssh("tellerline-edge status --json").stdout)
    return sum(bool(lane["up"] and not lane["drained"]) for lane in status["lanes"])


def load(edge: Host) -> int:
    """Calls that the edge counts on all its lanes together."""
    status = json.loads(edge.ssh("tellerline-edge status --json").stdout)
    return sum(int(lane["calls"]) for lane in status["lanes"])
