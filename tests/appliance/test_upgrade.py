"""The next release and back, on a server with calls: none is dropped, and the way back takes seconds."""

from __future__ import annotations

import time

import next_release
import pytest
from hosts import Host
from installation import Appliance, Run, bundle

# Without the drain, on two cores.
_ROLLBACK_SECONDS = 60
# Longer than banking takes to change, and shorter than a drain may last.
_CALL_SECONDS = 70


@pytest.fixture(scope="module")
def newer(server: Appliance, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """The next version, and what a run of its playbooks is told."""
    made = bundle()
    assert made is not None
    folder, key = next_release.make(made, tmp_path_factory.mktemp("next"))
    version = next_release.version_of(folder)
    given = {"tellerline_version": version, "tellerline_bundle": folder, "tellerline_bundle_key": key}
    return version, [word for name, value in given.items() for word in ("-e", f"{name}={value}")]


def _version(host: Host) -> str:
    return host.ssh("tellerline --version").stdout.split()[-1]


def _settings(host: Host) -> str:
    """Settings and units, with their checksums."""
    return host.ssh("sha256sum /etc/tellerline/*.yml /etc/systemd/system/tellerline*.service").stdout


def test_site_yml_does_not_change_the_release_under_calls(
    server: Appliance, installed: Run, newer: tuple[str, list[str]]
) -> None:
    run = server.play("site.yml", *newer[1], check=False)
    assert run.status != 0 and "playbooks/upgrade.yml" in " ".join(run.output.split())
    assert run.changed == 0


def test_an_upgrade_drops_no_call(server: Appliance, teller1: Host, newer: tuple[str, list[str]]) -> None:
    old = _version(teller1)
    running = server.start_play("playbooks/upgrade.yml", *newer[1])
    assert running.stdout is not None
    callers, lines, began, drained_ns = None, [], time.monotonic(), 0
    for line in running.stdout:
        lines.append(line)
        if callers is None and line.startswith("TASK [banking :"):
            callers = server.callers(server.number("teller1"), calls=3, seconds=_CALL_SECONDS)
        # Ansible names a task when it has a result. Lanes are stopped after this one.
        elif line.startswith("TASK [release : Tell every edge") and not drained_ns:
            drained_ns = time.monotonic_ns()
    running.stdout.close()
    output = "".join(lines)
    print(f"the upgrade took {time.monotonic() - began:.0f} s")
    assert running.wait() == 0, output[-8000:]
    assert callers is not None
    calls = callers.finish()
    assert [(call.status, call.ended_by) for call in calls] == [(200, "caller")] * 3
    assert min(call.ended_ns for call in calls) > drained_ns > 0, "the calls were over before the drain"
    assert "new calls are refused until it is back" in " ".join(output.split())
    assert _version(teller1) == newer[0]
    assert teller1.ssh("readlink /opt/tellerline/previous").stdout.strip().endswith(f"/{old}")
    assert teller1.ssh("systemctl --failed --plain --no-legend").stdout == ""
    assert server.answers(server.number("teller1"))


def test_nothing_runs_on_the_release_before(teller1: Host, newer: tuple[str, list[str]]) -> None:
    shown = teller1.ssh("systemctl show --value --property=MainPID 'tellerline-*.service'").stdout.split()
    pids = [pid for pid in shown if pid != "0"]
    commands = [teller1.ssh(f"tr '\\0' ' ' < /proc/{pid}/cmdline").stdout for pid in pids]
    # Engine, two lanes, session, banking, the bank to try things with. What is not listed here is the host's.
    ours = [command for command in commands if "/opt/tellerline/" in command]
    assert len(ours) == 8, commands
    assert [command for command in ours if f"/opt/tellerline/releases/{newer[0]}/" not in command] == []


def test_the_same_upgrade_again_drains_nobody(server: Appliance, newer: tuple[str, list[str]]) -> None:
    again = server.play("playbooks/upgrade.yml", *newer[1])
    assert "drains:" not in again.output


def test_the_way_back_takes_seconds_and_drops_no_call(
    server: Appliance, teller1: Host, newer: tuple[str, list[str]]
) -> None:
    made = bundle()
    assert made is not None
    before = _settings(teller1)
    teller1.ssh("echo '# of the newer release' >> /etc/tellerline/session.yml")
    callers = server.callers(server.number("teller1"), calls=3, seconds=20)
    began_ns = time.monotonic_ns()
    run = server.play("playbooks/rollback.yml", "-e", f"to={next_release.version_of(made)}")
    calls = callers.finish()
    assert [call.ended_by for call in calls] == ["caller"] * 3, calls
    drained = max(0.0, (max(call.ended_ns for call in calls) - began_ns) / 1e9)
    print(f"the rollback took {run.seconds:.0f} s, of which {drained:.0f} s until the last call had ended")
    assert _version(teller1) == next_release.version_of(made)
    assert _settings(teller1) == before
    assert server.answers(server.number("teller1"))
    assert run.seconds - drained <= _ROLLBACK_SECONDS


def test_a_release_nobody_has_is_refused(server: Appliance) -> None:
    run = server.play("playbooks/rollback.yml", "-e", "to=9.9.9", check=False)
    assert run.status != 0 and "can go back to" in " ".join(run.output.split())
