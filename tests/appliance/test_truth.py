"""What must not be lost, and who may come near it: backup and restore, certificates, the servers' doors."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hosts import Host, wait_for
from installation import Appliance, Run

_PKI = "/etc/tellerline/pki"
# Longer than new certificates for every daemon of one host take, with everything else this machine does.
_ROTATION_SECONDS = 180


def test_postgresql_takes_nobody_without_tls_and_his_own_password(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    there = f"host={teller1.address} dbname=tellerline sslrootcert={_PKI}/authority.pem"
    asked = "select 1"

    def connects(words: str, secret: str) -> bool:
        # libpq reads the password from a file: it is in no command line.
        line = f"*:*:*:*:{server.secrets[secret]}\n"
        command = (
            "umask 077; f=$(mktemp); cat >$f; "
            f"PGPASSFILE=$f psql --no-psqlrc '{there} {words}' -c '{asked}'; s=$?; rm $f; exit $s"
        )
        return teller1.ssh(command, input=line, check=False).returncode == 0

    session = "user=tellerline_session sslmode="
    assert connects(session + "verify-full", "vault_db_session_password")
    assert not connects(session + "disable", "vault_db_session_password")
    assert not connects(session + "verify-full", "vault_db_banking_password")
    assert not connects("user=postgres sslmode=verify-full", "vault_db_owner_password")
    assert not connects(
        "user=tellerline_session sslmode=verify-full dbname=postgres", "vault_db_session_password"
    )


def test_redis_lets_a_daemon_at_its_own_keys_alone(server: Appliance, teller1: Host, installed: Run) -> None:
    def answers(user: str, *commands: str) -> list[str]:
        lines = [f"AUTH {user} {server.secrets[f'vault_redis_{user}_password']}", *commands]
        cli = f"redis-cli --tls --cacert {_PKI}/authority.pem -h {teller1.address}"
        return teller1.ssh(cli, input="\n".join(lines) + "\n").stdout.splitlines()

    assert answers("session", "SET session:probe 1 EX 1")[-1] == "OK"
    for command in ("GET banking:probe", "CONFIG GET maxmemory", "FLUSHALL", "ACL LIST"):
        assert "NOPERM" in " ".join(answers("session", command)), command
    plain = teller1.ssh(f"redis-cli -h {teller1.address} PING", check=False).stdout
    assert "PONG" not in plain


def test_a_certificate_that_has_ended_is_refused(
    server: Appliance, teller1: Host, installed: Run, tmp_path: Path
) -> None:
    def asks(certificate: str, key: str) -> bool:
        command = (
            f"tellerline calls --session {teller1.address}:7443"
            f" --tls-certificate {certificate} --tls-key {key}"
            f" --tls-authority {_PKI}/authority.pem --tls-peer session.teller1"
        )
        return teller1.ssh(command, check=False).returncode == 0

    # An operator gives no certificate: the host's own is taken.
    assert teller1.ssh("tellerline calls", check=False).stdout.startswith("CALL")
    assert asks(f"{_PKI}/pipeline.pem", f"{_PKI}/pipeline.key")
    # Banking's name is on none of session's lists.
    assert not asks(f"{_PKI}/banking.pem", f"{_PKI}/banking.key")
    for name, days in (("good", 1), ("ended", -1)):
        certificate, key = signed(server, "pipeline.teller1", days)
        teller1.ssh(f"umask 077; cat >/root/{name}.pem", input=certificate)
        teller1.ssh(f"umask 077; cat >/root/{name}.key", input=key)
    assert asks("/root/good.pem", "/root/good.key")
    assert not asks("/root/ended.pem", "/root/ended.key")
    # The door is shut without a word; the reason is the daemon's own to know.
    said = teller1.ssh("journalctl -u tellerline-session -n 20 -o cat --no-pager").stdout
    assert "certificate has expired" in said


def signed(server: Appliance, name: str, days: int) -> tuple[str, str]:
    """Certificate and key the site's authority might have signed, good until `days` from now."""
    folder = server.folder / "pki"
    authority = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
    opened = serialization.load_pem_private_key(
        (folder / "authority.key").read_bytes(), server.secrets["vault_pki_passphrase"].encode()
    )
    assert isinstance(opened, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=3))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(opened, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


def serials(teller1: Host) -> dict[str, str]:
    """Certificate file → its serial number."""
    command = f"for f in {_PKI}/*.pem; do echo $f $(openssl x509 -noout -serial -in $f); done"
    return dict(line.split() for line in teller1.ssh(command).stdout.splitlines())


def processes(teller1: Host) -> str:
    units = "tellerline-session tellerline-banking postgresql@15-main redis-server"
    return teller1.ssh(f"systemctl show --property=MainPID --value {units}").stdout


@pytest.mark.parametrize("further", [(), ("-e", "rotate_authority=true"), ("-e", "rotate_forget=true")])
def test_certificates_are_renewed_under_a_live_call(
    server: Appliance, teller1: Host, installed: Run, further: tuple[str, ...]
) -> None:
    before, daemons = serials(teller1), processes(teller1)
    callers = server.callers(server.number("teller1"), calls=3, seconds=_ROTATION_SECONDS)
    try:
        run = server.play("playbooks/rotate.yml", *further)
    finally:
        # Whatever came of it: each of them leaves a record, and the tests after this one count those.
        calls = callers.finish()
    assert run.seconds < _ROTATION_SECONDS, "the calls were over before"
    assert [(call.status, call.ended_by) for call in calls] == [(200, "caller")] * 3
    gap_ms = max(call.longest_gap_ms for call in calls)
    heard = f"a gap of {gap_ms:.0f} ms" if gap_ms else "no gap"
    print(f"rotate.yml {' '.join(further)} took {run.seconds:.0f} s, callers heard {heard}")
    assert gap_ms <= 200
    after = serials(teller1)
    renewed = {path for path in before if after[path] != before[path]}
    if "rotate_forget=true" in further:
        # Nothing is shown that is not shown already; the former authority is no longer trusted.
        assert renewed == set()
        trusted = teller1.ssh(f"cat {_PKI}/authority.pem").stdout
        assert trusted.count("BEGIN CERTIFICATE") == 1
    else:
        new_authority = "rotate_authority=true" in further
        assert renewed == set(before) - (set() if new_authority else {f"{_PKI}/authority.pem"})
    # Nobody was restarted, and the doors open.
    assert processes(teller1) == daemons
    assert server.call("bank_call", server.number("teller1"))["passed"]


def test_a_certificate_near_its_end_is_renewed_by_any_run(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    before = serials(teller1)
    server.play("playbooks/pki.yml", "-e", "pki_renew_days=398")
    after = serials(teller1)
    ours = {f"{_PKI}/{name}.pem" for name in ("session", "banking", "connector", "pipeline")}
    assert all(after[path] != before[path] for path in ours)


def test_every_call_record_is_back_after_the_data_are_lost(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    wait_for(lambda: server.records("teller1") == (server.calls_answered, 0), "every record, closed", 60)
    run = server.play("playbooks/backup.yml")
    (folder,) = set(re.findall(r"/\S+/backups/\d{8}T\d{6}Z", run.output))
    parts = [path for path in Path(folder).rglob("*") if path.is_file()]
    assert {path.name.split(".")[0] for path in parts} >= {"database", "heads", "SHA256SUMS"}
    # Nothing of it can be read without the passphrase, and nothing is left on the host.
    assert not any(b"session.turn" in path.read_bytes() for path in parts if path.name.startswith("database"))
    assert teller1.ssh("ls /var/lib/tellerline").stdout.count("backup") == 0

    teller1.ssh(
        "systemctl stop tellerline-session tellerline-banking && pg_dropcluster --stop 15 main"
        " && rm -rf /var/lib/tellerline/session /var/lib/tellerline/banking"
    )
    # Callers are answered meanwhile; their lane keeps what happened until somebody takes it.
    assert server.answers(server.number("teller1"))
    server.play("playbooks/data.yml", "-e", "tellerline_wait_for_restore=true")
    assert teller1.ssh("systemctl is-active tellerline-session", check=False).stdout == "inactive\n"
    restored = server.play("playbooks/restore.yml", "-e", f"restore_from={folder}")
    print(re.search(r"restored in \d+ s[^\n]*", restored.output)[0])  # type: ignore[index]
    assert "the audit verifies" in restored.output
    wait_for(lambda: server.records("teller1") == (server.calls_answered, 0), "every record, closed", 60)
    assert server.call("bank_call", server.number("teller1"))["passed"]
    # The same command again changes nothing.
    again = server.play("site.yml")
    assert again.changed == 0, again.changes


def test_a_part_somebody_touched_is_refused_and_the_database_in_use_stays(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    run = server.play("playbooks/backup.yml")
    folder = Path(re.findall(r"/\S+/backups/\d{8}T\d{6}Z", run.output)[-1])
    part = folder / "teller1" / "database.0000"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.chmod(0o600)
    part.write_bytes(content)
    before = server.records("teller1")
    failed = server.play("playbooks/restore.yml", "-e", f"restore_from={folder}", check=False)
    assert failed.status != 0 and "database.0000" in failed.output
    assert server.records("teller1") == before
    assert server.call("bank_call", server.number("teller1"))["passed"]


def test_what_the_firewall_drops_is_counted(server: Appliance, teller1: Host, installed: Run) -> None:
    def dropped(name: str) -> int:
        shown = teller1.ssh(f"nft --json list counter inet tellerline {name}").stdout
        (counter,) = (found["counter"] for found in json.loads(shown)["nftables"] if "counter" in found)
        packets = counter["packets"]
        assert isinstance(packets, int)
        return packets

    before = dropped("dropped_out")
    # An address of nobody's (RFC 5737): refused on the host itself, at once.
    assert teller1.ssh("exec 3<>/dev/tcp/192.0.2.1/443", check=False).returncode != 0
    assert dropped("dropped_out") > before
