"""One bare server: one command, and it answers the phone; the same command again changes nothing.

The tests are one story, told in order, on one host; the later ones break what the first one made.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sandbox
import watching
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hosts import Capture, Host, HostsError, wait_for
from installation import Appliance, Run, bundle
from releases import following

# One run from a minimal Debian to a working phone, on two cores.
_INSTALL_SECONDS = 12 * 60
_ROLLBACK_SECONDS = 60
_LANES = 2


@pytest.fixture(scope="module")
def server(appliance: Callable[..., Appliance]) -> Appliance:
    return appliance("single-server", "teller1", tellerline_gpus=["cpu"], tellerline_lanes=_LANES)


@pytest.fixture(scope="module")
def teller1(server: Appliance) -> Host:
    return server.host("teller1")


@pytest.fixture(scope="module")
def capture(server: Appliance) -> Iterator[Capture]:
    """Of everything these tests do."""
    recording = server.site.capture()
    yield recording
    recording.stop()


@pytest.fixture(scope="module")
def installed(server: Appliance, capture: Capture) -> Run:
    return server.play("site.yml")


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
    assert "Watchdog" in watching.alerts(teller1)
    # A container cannot set its clock, and shares memory and processors with whatever else runs here.
    assert watching.alerts(teller1) - {"Watchdog", "ClockWrong", "CpuBusy", "MemoryShort"} == set()


def test_a_lane_that_is_gone_is_told_and_told_when_it_is_back(teller1: Host, installed: Run) -> None:
    teller1.ssh("systemctl stop tellerline-pipeline@cpu-1")
    wait_for(lambda: "LaneDown" in watching.alerts(teller1), "the alert", 180)
    teller1.ssh("systemctl start tellerline-pipeline@cpu-1")
    wait_for(lambda: "LaneDown" not in watching.alerts(teller1), "its end", 180)


def test_call_records_are_exported(teller1: Host, installed: Run) -> None:
    teller1.ssh("systemctl start tellerline-call-export")
    listed = teller1.ssh("stat -c '%a %G %n' /var/lib/tellerline/call-export/calls-*.csv").stdout.splitlines()
    assert len(listed) == 3
    assert all(line.startswith("640 tellerline ") for line in listed)
    told = 'tellerline_task_succeeded_unix_seconds{task="call-export"}'
    teller1.ssh("systemctl start tellerline-host-metrics")
    assert told in teller1.ssh("cat /var/lib/prometheus/node-exporter/tellerline.prom").stdout


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


@pytest.mark.parametrize("unit", ["pipeline@cpu-1", "connector@cpu-1", "session", "banking", "engine@cpu"])
def test_a_daemon_that_hangs_is_killed_by_its_watchdog(unit: str, teller1: Host, installed: Run) -> None:
    name = f"tellerline-{unit}.service"
    before = _main_process(teller1, name)
    teller1.ssh("systemctl", "kill", "--signal=STOP", "--kill-who=main", name)
    wait_for(lambda: _main_process(teller1, name) not in ("0", before), f"{name} to be back", 120)
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
    wait_for(lambda: _main_process(teller1, name) != "0", f"{name} to be tried again", 150)


def test_the_second_run_changes_nothing(server: Appliance, installed: Run) -> None:
    again = server.play("site.yml")
    assert again.changed == 0, again.changes


def test_a_dry_run_on_the_finished_host_has_nothing_to_do(server: Appliance, installed: Run) -> None:
    dry = server.play("site.yml", "--check", "--diff")
    assert dry.changed == 0, dry.changes


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
    before = _main_process(teller1, unit)
    callers = server.callers(server.number("teller1"), calls=4, seconds=25)
    on_lane_0 = server.live_calls("teller1", 0)
    assert 0 < on_lane_0 < 4
    killed_ns = time.monotonic_ns()
    teller1.ssh("kill", "-9", before)
    wait_for(lambda: _main_process(teller1, unit) not in ("0", before), f"{unit} to be back", 120)
    calls = callers.finish()
    assert all(call.answered_ns < killed_ns < call.ended_ns for call in calls)
    undisturbed = [call for call in calls if call.ended_by == "caller" and call.longest_gap_ms <= 200]
    # Only a connector has calls to lose: those of its own lane.
    assert len(undisturbed) >= (4 - on_lane_0 if "connector" in unit else 4), calls


def _main_process(host: Host, unit: str) -> str:
    return host.ssh(
        f"systemctl is-active -q {unit} && systemctl show -P MainPID {unit} || echo 0"
    ).stdout.strip()


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
    assert server.live_calls("teller1", 0) > 0
    teller1.ssh(away)
    # Who calls meanwhile is answered by the other lane.
    assert server.answers(server.number("teller1"))
    calls = callers.finish()
    teller1.ssh(back)
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
    lanes = [f"{daemon}@cpu-{lane}" for daemon in ("pipeline", "connector") for lane in range(_LANES)]
    units = [f"tellerline-{name}" for name in (*lanes, "engine@cpu", "session", "banking")]
    before = {unit: _main_process(teller1, unit) for unit in units}
    # As a run leaves them that was killed after it had written, and before it restarted.
    teller1.ssh("touch /etc/tellerline/connector@cpu-1.yml")
    server.play("playbooks/gpu.yml")
    after = {unit: _main_process(teller1, unit) for unit in units}
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
    assert _main_process(teller1, "tellerline-connector@cpu-1") == "0"
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


def test_certificates_are_renewed_under_live_calls(server: Appliance, teller1: Host, installed: Run) -> None:
    before = _certificates(teller1)
    callers = server.callers(server.number("teller1"), calls=3, seconds=90)
    server.play("playbooks/rotate.yml")
    calls = callers.finish()
    assert [call.ended_by for call in calls] == ["caller"] * 3, calls
    after = _certificates(teller1)
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    # The daemons took them up: session and banking are reached over TLS.
    assert server.call("bank_call", server.number("teller1"))["passed"]


def _certificates(host: Host) -> dict[str, str]:
    """Name → fingerprint of each daemon's."""
    listed = host.ssh("cd /etc/tellerline/pki && sha256sum $(ls *.pem | grep -v authority)").stdout
    return {line.split()[1]: line.split()[0] for line in listed.splitlines()}


def test_an_expired_certificate_opens_no_door(server: Appliance, teller1: Host, installed: Run) -> None:
    ours = teller1.ssh("cat /etc/tellerline/pki/connector.pem").stdout
    key, expired = _expired(server, x509.load_pem_x509_certificate(ours.encode()))
    teller1.ssh("umask 077; cat > /run/expired.key", input=key)
    teller1.ssh("cat > /run/expired.pem", input=expired)
    try:
        # TLS 1.2, in which the handshake itself fails; in 1.3 the client learns of it later.
        knock = (
            f"openssl s_client -tls1_2 -alpn h2 -connect {teller1.address}:7443 -verify_return_error "
            "-CAfile /etc/tellerline/pki/authority.pem >/dev/null"
        )
        valid = teller1.ssh(
            f"{knock} -cert /etc/tellerline/pki/connector.pem -key /etc/tellerline/pki/connector.key",
            input="",
            check=False,
        )
        assert valid.returncode == 0, valid.stderr
        refused = teller1.ssh(f"{knock} -cert /run/expired.pem -key /run/expired.key", input="", check=False)
        assert refused.returncode != 0
        # The door is shut without a word; the reason is the daemon's own to know.
        said = teller1.ssh("journalctl -u tellerline-session -n 20 -o cat --no-pager").stdout
        assert "certificate has expired" in said
    finally:
        teller1.ssh("rm -f /run/expired.key /run/expired.pem")


def _expired(server: Appliance, like: x509.Certificate) -> tuple[str, str]:
    """Key and certificate as the site's authority would have signed it, had it been over since yesterday."""
    folder = server.folder / "pki"
    passphrase = server.secrets["vault_pki_passphrase"].encode()
    signer = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), passphrase)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(like.subject)
        .issuer_name(like.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now - datetime.timedelta(days=1))
    )
    for extension in like.extensions:
        if extension.oid != x509.SubjectKeyIdentifier.oid:
            built = built.add_extension(extension.value, extension.critical)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate = built.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return private.decode(), certificate.decode()


def test_a_backup_brings_every_call_record_back(server: Appliance, teller1: Host, installed: Run) -> None:
    backups = server.site.folder / "backups"
    wait_for(lambda: server.records("teller1") == (server.calls_answered, 0), "every record to be told", 60)
    before = _every_call(teller1)
    server.play("playbooks/backup.yml", "-e", f"backup_folder={backups}")
    teller1.ssh("systemctl stop tellerline-session tellerline-banking")
    teller1.ssh("runuser -u postgres -- dropdb tellerline")
    (newest,) = backups.iterdir()
    restored = server.play("playbooks/restore.yml", "-e", f"restore_from={newest}")
    print(*(line for line in restored.output.splitlines() if "restored in" in line))
    assert _every_call(teller1) == before
    assert server.call("bank_call", server.number("teller1"))["passed"]


def _every_call(host: Host) -> list[str]:
    query = "select call_id, caller, state, opened_at, closed_at from session.call order by call_id"
    return host.ssh(f'cd / && runuser -u postgres -- psql -At tellerline -c "{query}"').stdout.splitlines()


def test_an_upgrade_and_the_way_back_drop_no_live_call(
    server: Appliance, teller1: Host, installed: Run, tmp_path: Path
) -> None:
    made = bundle()
    assert made is not None
    before = teller1.ssh("readlink /opt/tellerline/current").stdout
    later = following(made, tmp_path)
    callers = server.callers(server.number("teller1"), calls=3, seconds=60)
    server.play("playbooks/upgrade.yml", "-e", json.dumps(later))
    calls = callers.finish()
    assert [call.ended_by for call in calls] == ["caller"] * 3, calls
    assert later["tellerline_version"] in teller1.ssh("readlink /opt/tellerline/current").stdout
    assert server.call("bank_call", server.number("teller1"))["passed"]

    callers = server.callers(server.number("teller1"), calls=3, seconds=20)
    began_ns = time.monotonic_ns()
    back = server.play("playbooks/rollback.yml", "-e", f"to={before.strip().rpartition('/')[2]}")
    calls = callers.finish()
    assert [call.ended_by for call in calls] == ["caller"] * 3, calls
    drained = (max(call.ended_ns for call in calls) - began_ns) / 1e9
    print(f"rollback: {back.seconds:.0f} s, of which {drained:.0f} s until the last call had ended")
    assert teller1.ssh("readlink /opt/tellerline/current").stdout == before
    assert back.seconds - max(drained, 0) <= _ROLLBACK_SECONDS
    assert server.call("bank_call", server.number("teller1"))["passed"]


def test_a_playbook_killed_in_the_middle_converges_when_run_again(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    # Something to do: a package's configuration and a daemon's are gone.
    teller1.ssh("rm -f /etc/tellerline/*.yml /etc/nftables.conf")
    running = server.start_play("site.yml")
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("TASK [session"):
            break
    # With everything it started, as when the control node loses its power.
    os.killpg(running.pid, signal.SIGKILL)
    running.stdout.close()
    running.wait()
    server.play("site.yml")
    assert server.play("site.yml").changed == 0
    assert server.call("bank_call", server.number("teller1"))["passed"]


def test_after_a_reboot_the_phone_answers_unattended(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    teller1.reboot()
    wait_for(lambda: server.answers(server.number("teller1")), "the phone to answer", 180)
    assert server.call("bank_call", server.number("teller1"))["passed"]


def test_no_packet_left_the_site(capture: Capture, installed: Run) -> None:
    """Installing, calling, breaking: all of it between the site's own addresses."""
    capture.stop()
    assert len(capture.packets("udp")) > 1000
    assert capture.strays() == []
