"""The hosts themselves: what the other tests take for granted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hosts import CONTROL, HOME, Host, HostsError, Site, wait_for


@pytest.fixture(scope="module")
def pair(site: Site) -> tuple[Host, Host]:
    one, two = site.add("one", "two")
    return one, two


def test_a_host_is_a_minimal_debian_12_that_systemd_runs(pair: tuple[Host, Host]) -> None:
    one, _ = pair
    assert one.ssh("cat /proc/1/comm").stdout == "systemd\n"
    assert one.ssh("hostname").stdout == "one\n"
    assert one.ssh(". /etc/os-release && echo $VERSION_ID").stdout == "12\n"
    assert one.ssh("systemctl --failed --plain --no-legend").stdout == ""


def test_hosts_reach_each_other_and_the_control_side(pair: tuple[Host, Host]) -> None:
    one, two = pair
    for address in (two.address, str(CONTROL)):
        one.ssh(f"timeout 5 bash -c 'exec 3<>/dev/tcp/{address}/22'", check=address == two.address)
    two.site.run("ssh", "-F", str(two.site.ssh_config), "two", "true")


def test_there_is_no_way_out_and_who_tries_is_seen(pair: tuple[Host, Host]) -> None:
    one, two = pair
    capture = one.site.capture()
    one.ssh(f"timeout 5 bash -c 'exec 3<>/dev/tcp/{two.address}/22'")
    refused = one.ssh("timeout 5 bash -c 'exec 3<>/dev/tcp/198.51.100.1/80'", check=False)
    one.ssh("getent hosts example.com", check=False)
    capture.stop()
    assert "No route to host" in refused.stderr
    strays = capture.strays()
    assert any("> 198.51.100.1.80" in packet for packet in strays), strays
    assert any("> 192.0.2.53.53" in packet and "example.com" in packet for packet in strays), strays
    assert not any(f"{two.address}.22" in packet for packet in strays)
    # The control side has no way out either: installing needs nothing from outside.
    assert one.site.run("ip", "route", "show", "default").stdout.startswith("unreachable default")


def test_a_host_reboots_and_loses_power_and_comes_back_with_its_files(pair: tuple[Host, Host]) -> None:
    one, two = pair
    one.ssh("echo kept > /root/kept")
    before = one.boot_id()
    one.reboot()
    assert one.boot_id() != before
    one.kill()
    assert not one.running()
    assert two.ssh("echo alive").stdout == "alive\n"
    one.start()
    assert one.ssh("cat /root/kept").stdout == "kept\n"


def test_a_failing_command_says_what_it_printed(pair: tuple[Host, Host]) -> None:
    with pytest.raises(HostsError, match="no such thing"):
        pair[0].ssh("echo no such thing >&2; exit 3")


def test_nothing_is_left_of_a_site_whose_maker_is_killed(tmp_path: Path) -> None:
    """Test processes get killed; their hosts must not outlive them, nor their links and mounts."""
    site = Site("killed")
    site.remove()
    with subprocess.Popen(
        [sys.executable, "-c", _MAKER], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True
    ) as maker:
        try:
            assert maker.stdout is not None
            assert maker.stdout.readline() == "up\n"
            namespace = os.readlink(f"/proc/{site.keeper}/ns/pid")
            assert _processes_in(namespace)
            maker.send_signal(signal.SIGKILL)
            wait_for(lambda: not site.up() and not _processes_in(namespace), "the hosts to end", 30)
            assert str(HOME / "sites" / "killed") not in Path("/proc/mounts").read_text()
        finally:
            maker.kill()
            site.remove()
    assert not site.folder.exists()


_MAKER = """
import hosts, signal
site = hosts.Site("killed")
site.open(bound=True)
site.add("one")
print("up", flush=True)
signal.pause()
"""


def _processes_in(namespace: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "ns" / "pid_for_children") == namespace:
                found.append(path.name)
        except OSError:
            continue
    return found
