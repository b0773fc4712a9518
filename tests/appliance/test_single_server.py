"""One bare server: one command, and it answers the phone; the same command again changes nothing."""

from __future__ import annotations

import sandbox
import watching
from hosts import Host, HostsError, wait_for
from installation import Appliance, Run

# One run from a minimal Debian to a working phone, on two cores.
_INSTALL_SECONDS = 12 * 60


def test_a_dry_run_on_a_bare_host_succeeds_and_changes_nothing(server: Appliance, teller1: Host) -> None:
    server.play("site.yml", "--check", "--diff")
    assert teller1.ssh("ls /opt /etc/tellerline 2>&1 || true").stdout.count("tellerline:") == 0
    assert "tellerline" not in teller1.ssh("getent passwd").stdout


def test_one_run_makes_a_phone_of_a_bare_host(server: Appliance, installed: Run) -> None:
    print(f"site.yml took {installed.seconds:.0f} s")
    report = server.call("bank_call", server.number("teller1"))
    assert report["passed"]
    assert installed.seconds <= _INSTALL_SECONDS


def test_every_unit_runs_and_none_has_failed(teller1: Host, installed: Run) -> None:
    assert teller1.ssh("systemctl --failed --plain --no-legend").stdout == ""
    assert teller1.ssh("systemctl is-active tellerline.target").stdout == "active\n"


def test_monitoring_hears_every_daemon_and_has_nothing_to_say(teller1: Host, installed: Run) -> None:
    def all_up() -> bool:
        heard = watching.targets(teller1)
        return bool(heard) and set(heard.values()) == {"up"}

    wait_for(all_up, "every daemon to be heard", 90)
    heard = {name.split()[0] for name in watching.targets(teller1)}
    assert heard >= {"engine", "connector", "pipeline", "session", "banking", "host", "alertmanager"}
    assert watching.broken_rules(teller1) == {}
    # An alert is told once it has lasted.
    wait_for(lambda: "Watchdog" in watching.alerts(teller1), "the alert that says all is well", 90)
    # A container cannot set its clock, and shares memory and processors with whatever else runs here.
    assert watching.alerts(teller1) - {"Watchdog", "ClockWrong", "CpuBusy", "MemoryShort"} == set()


def test_the_second_run_changes_nothing(server: Appliance, installed: Run) -> None:
    again = server.play("site.yml")
    assert again.changed == 0, again.changes


def test_a_dry_run_on_the_finished_host_has_nothing_to_do(server: Appliance, installed: Run) -> None:
    dry = server.play("site.yml", "--check", "--diff")
    assert dry.changed == 0, dry.changes


def test_call_records_are_exported(teller1: Host, installed: Run) -> None:
    teller1.ssh("systemctl start tellerline-call-export")
    listed = teller1.ssh("stat -c '%a %G %n' /var/lib/tellerline/call-export/calls-*.csv").stdout.splitlines()
    assert len(listed) == 3
    assert all(line.startswith("640 tellerline ") for line in listed)
    told = 'tellerline_task_succeeded_unix_seconds{task="call-export"}'
    teller1.ssh("systemctl start tellerline-host-metrics")
    assert told in teller1.ssh("cat /var/lib/prometheus/node-exporter/tellerline.prom").stdout


def test_no_secret_is_where_others_can_read_it(server: Appliance, teller1: Host, installed: Run) -> None:
    """Not in environments, command lines, units, configuration, or the journal."""
    places = (
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null",
        "systemctl show --all '*'",
        "cat /etc/systemd/system/*.d/*.conf /etc/systemd/system/*.service /etc/tellerline/*.yml",
        "journalctl --no-pager --all",
    )
    for place in places:
        # The patterns come by standard input, so that grep itself has them in no command line.
        search = f"exec 3<&0; {{ {place}; }} | grep -a -c -F -f /dev/fd/3"
        secrets = "\n".join(server.secrets.values())
        assert teller1.ssh(search, input=secrets, check=False).stdout.strip() == "0", place
        # The search finds what is there: a grep that saw nothing would pass too.
        assert teller1.ssh(search, input="systemd", check=False).stdout.strip() not in ("", "0"), place


def test_what_goes_to_support_helps_and_tells_no_secret(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    path = teller1.ssh("tellerline-support --since '1 day ago' --sip").stdout.strip()
    told = teller1.ssh(f"tar --list --file {path}").stdout
    for name in ("status.txt", "doctor.txt", "units.txt", "journal.txt", "alerts.txt"):
        assert f"/{name}" in told
    search = f"exec 3<&0; tar --extract --to-stdout --file {path} | grep -a -c -F -f /dev/fd/3"
    assert teller1.ssh(search, input="\n".join(server.secrets.values()), check=False).stdout.strip() == "0"
    assert teller1.ssh(search, input="tellerline-connector@", check=False).stdout.strip() != "0"
    teller1.ssh(f"rm {path}")


def test_the_models_answer_in_their_sandbox_as_they_do_without(teller1: Host, installed: Run) -> None:
    unit = "tellerline-engine@cpu.service"
    outside = sandbox.model_answers_outside(teller1, unit)
    assert len(outside) > 6
    assert sandbox.model_answers(teller1, unit) == outside
    # It would show: other answers, or none. (On Intel CTranslate2 does not run what it writes.)
    if "AuthenticAMD" in teller1.ssh("cat /proc/cpuinfo").stdout:
        try:
            denied = sandbox.model_answers(teller1, unit, MemoryDenyWriteExecute="yes")
        except HostsError as error:
            assert "Whisper" in str(error)
        else:
            assert denied != outside


def test_the_units_of_the_host_are_as_closed_as_those_of_the_source(teller1: Host, installed: Run) -> None:
    """With the site's drop-ins: a unit that is opened by one shows here alone."""
    names = teller1.ssh("systemctl list-units --plain --no-legend --type=service 'tellerline-*'").stdout
    for name in (line.split()[0] for line in names.splitlines()):
        said = teller1.ssh("systemd-analyze", "security", "--threshold=20", name, check=False)
        assert said.returncode == 0, f"{name}: {said.stdout.splitlines()[-1]}"
