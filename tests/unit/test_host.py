"""`tellerline status`, `drain`, `undrain`, `certificates`: what an operator sees and does on a host."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tellerline import bootstrap, host
from tellerline.cli import calls, certificates, doctor_host, main, status
from tellerline.errors import HostError, ServiceUnavailable
from tellerline.rpc import control_pb2 as pb
from tellerline.rpc import control_pb2_grpc as rpc
from tellerline.settings import SessionSettings


class Connector(rpc.ControlServicer):
    """A lane with calls, on a loop of its own: the commands under test have theirs."""

    def __init__(self, socket: Path, calls: int) -> None:
        self.socket = socket
        self.calls = calls
        self.state, self.reason = "ready", ""
        self.drained_for: list[int] = []
        self._up, self._down = threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        self._thread.start()
        assert self._up.wait(20)

    async def _serve(self) -> None:
        server, _ = bootstrap.server(self.socket)
        rpc.add_ControlServicer_to_server(self, server)
        await server.start()
        self._up.set()
        await self._down.wait()
        await server.stop(None)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._down.set)
        self._thread.join()
        self._loop.close()

    async def Status(self, request: pb.StatusRequest, context: object) -> pb.StatusReply:
        live = [pb.LiveCall(call_id=str(number), attached=True) for number in range(self.calls)]
        if self.state == "draining":
            # One call ends between two looks.
            self.calls = max(0, self.calls - 1)
        return pb.StatusReply(state=self.state, reason=self.reason, lane_calls=4, calls=live)

    async def Drain(self, request: pb.DrainRequest, context: object) -> pb.DrainReply:
        self.state = "draining"
        self.drained_for.append(request.timeout_seconds)
        return pb.DrainReply(live_calls=self.calls)

    async def Undrain(self, request: pb.UndrainRequest, context: object) -> pb.UndrainReply:
        self.state = "ready"
        return pb.UndrainReply()


@pytest.fixture
def lanes(tmp_path: Path) -> Iterator[dict[str, Connector]]:
    """Two lanes that run; `tmp_path` has their settings, as /etc/tellerline does."""
    running = {}
    for name, live in (("0-0", 2), ("0-1", 0)):
        socket = tmp_path / f"run-{name}" / "control.sock"
        running[name] = Connector(socket, live)
        settings = {"lane": name, "control_socket": str(socket)}
        (tmp_path / f"connector@{name}.yml").write_text(yaml.safe_dump(settings))
    yield running
    for one in running.values():
        one.stop()


def command(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main.cli, [*arguments, "--config-folder", str(folder)], catch_exceptions=False)


def test_status_shows_each_lane_with_its_calls(tmp_path: Path, lanes: dict[str, Connector]) -> None:
    said = command(tmp_path, "status")
    assert "0-0      ready      2/4" in said.output
    assert "0-1      ready      0/4" in said.output
    assert "tellerline-connector@0-1.service" in said.output


def test_a_lane_that_is_unwell_is_a_fault(tmp_path: Path, lanes: dict[str, Connector]) -> None:
    assert not [fault for fault in status.look(tmp_path).faults if fault.startswith("lane")]
    lanes["0-1"].state, lanes["0-1"].reason = "unhealthy", "pipeline: not serving"
    shown = status.look(tmp_path)
    assert "lane 0-1: pipeline: not serving" in shown.faults
    lanes["0-1"].stop()
    lanes["0-1"] = Connector(tmp_path / "elsewhere.sock", 0)
    assert any(fault.startswith("lane 0-1: does not") for fault in status.look(tmp_path).faults)


def test_calls_of_a_host_of_lanes_are_its_lanes(tmp_path: Path, lanes: dict[str, Connector]) -> None:
    said = command(tmp_path, "calls")
    assert said.exit_code == 0
    assert [line.split()[1] for line in said.output.splitlines()[1:]] == ["0-0", "0-0"]


def test_calls_of_a_data_host_are_asked_of_its_session_service(tmp_path: Path) -> None:
    settings = {
        "listen": f"unix:{tmp_path}/somewhere.sock",
        "database": {"dsn": "host=nowhere"},
        "redis": {"url": "unix:///nowhere"},
        "audit_key": "/nowhere",
    }
    (tmp_path / "session.yml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ServiceUnavailable, match=f"unix:{tmp_path}/somewhere.sock"):
        command(tmp_path, "calls")


def test_a_session_service_on_the_network_is_asked_under_its_own_name(tmp_path: Path) -> None:
    issue(tmp_path / "session.data1.pem", 90)
    chosen = SessionSettings.model_validate(
        {
            "listen": "10.0.0.1:7443",
            "tls": {
                "certificate": tmp_path / "session.data1.pem",
                "key": tmp_path / "key",
                "authority": tmp_path / "authority.pem",
                "peers": ["pipeline.gpu1", "session.data1", "session.data2"],
            },
            "database": {"dsn": "host=nowhere"},
            "redis": {"url": "unix:///nowhere"},
            "audit_key": "/nowhere",
        }
    )
    asked = calls.itself(chosen)
    assert asked.addresses == ("10.0.0.1:7443",)
    assert asked.tls is not None and asked.tls.peers == ("session.data1",)


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    (tmp_path / "connector@0-0.yml").write_text("lnae: 0-0\n")
    shown = status.look(tmp_path)
    assert any("lnae" in fault and "connector@0-0.yml" in fault for fault in shown.faults)
    assert command(tmp_path, "status").exit_code == 1


def test_a_host_without_settings_says_so(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="is this host of the site"):
        host.units(tmp_path)


def test_drain_tells_one_lane_and_waits_for_its_calls(tmp_path: Path, lanes: dict[str, Connector]) -> None:
    said = command(tmp_path, "drain", "0-0", "--timeout", "600", "--wait")
    assert said.exit_code == 0
    assert said.output.splitlines()[0] == "0-0: draining, 2 calls"
    assert said.output.splitlines()[-1].startswith("0 calls after ")
    assert lanes["0-0"].drained_for == [600]
    assert lanes["0-1"].state == "ready"


def test_undrain_takes_it_back(tmp_path: Path, lanes: dict[str, Connector]) -> None:
    command(tmp_path, "drain", "--all")
    assert [lane.state for lane in lanes.values()] == ["draining"] * 2
    # As its settings say.
    assert lanes["0-1"].drained_for == [0]
    assert command(tmp_path, "undrain", "0-1").output == "0-1: takes calls\n"
    assert [lane.state for lane in lanes.values()] == ["draining", "ready"]


def test_a_lane_the_host_has_not_is_refused_before_any_is_told(
    tmp_path: Path, lanes: dict[str, Connector]
) -> None:
    with pytest.raises(HostError, match=r"no lane 7-7; it has 0-0, 0-1"):
        command(tmp_path, "drain", "0-0", "7-7")
    assert lanes["0-0"].state == "ready"


def test_lanes_or_all_of_them(tmp_path: Path, lanes: dict[str, Connector]) -> None:
    assert command(tmp_path, "drain").exit_code == 2
    assert command(tmp_path, "drain", "0-0", "--all").exit_code == 2


def test_breakers_are_those_of_the_daemon_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaker(name: str, state: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        return name, tuple(sorted({**labels, name: state}.items()))

    found = {
        breaker("tellerline_banking_breaker", "open"): 1.0,
        breaker("tellerline_banking_breaker", "closed"): 0.0,
        breaker("tellerline_pipeline_provider_breaker", "open", kind="synthesis", provider="local"): 1.0,
        ("tellerline_banking_closed", ()): 1.0,
    }
    monkeypatch.setattr(host, "figures", lambda unit: found)
    for daemon in ("engine@0", "pipeline@0-0"):
        (tmp_path / f"{daemon}.yml").write_text("{}")
    shown = status.look(tmp_path)
    assert shown.breakers == [{"daemon": "pipeline@0-0", "of": "synthesis by local", "state": "open"}]
    assert not [fault for fault in shown.faults if "bank" in fault]


# ---- certificates


def issue(file: Path, days: float) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, file.stem)])
    until = datetime.now(UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(until - timedelta(days=400))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(file.read_bytes() if file.exists() else b"")
    with file.open("ab") as out:
        out.write(made.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize(
    ("days", "word", "code"),
    [(90, "good", 0), (20, "renew", 0), (3, "RENEW NOW", 1), (-1, "RENEW NOW", 1)],
)
def test_a_certificate_is_told_by_its_days(tmp_path: Path, days: float, word: str, code: int) -> None:
    issue(tmp_path / "session.pem", days + 0.1)
    said = CliRunner().invoke(main.cli, ["certificates", "--folder", str(tmp_path)])
    assert said.exit_code == code
    assert said.output.strip().startswith(f"{word}  session.pem: CN=session, until ")


def test_the_first_to_end_of_a_chain_counts(tmp_path: Path) -> None:
    for days in (300.0, 2.0):
        issue(tmp_path / "chain.pem", days)
    (found,) = certificates.read(tmp_path)
    assert found.days(datetime.now(UTC)) == 1


def test_a_file_that_is_no_certificate_fails(tmp_path: Path) -> None:
    (tmp_path / "session.pem").write_text("half of it")
    said = CliRunner().invoke(main.cli, ["certificates", "--folder", str(tmp_path)])
    assert (said.exit_code, "cannot be read" in said.output) == (1, True)


def test_no_certificate_is_no_good_news(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no certificate"):
        CliRunner().invoke(main.cli, ["certificates", "--folder", str(tmp_path)], catch_exceptions=False)


# ---- doctor


def test_doctor_on_a_host_names_what_is_wrong(tmp_path: Path, lanes: dict[str, Connector]) -> None:
    (tmp_path / "pipeline@0-0.yml").write_text("lnaguage: en\n")
    issue(tmp_path / "connector.pem", 3.1)
    found = {one.check: one for one in doctor_host.check(tmp_path, pki=tmp_path)}
    assert found["settings connector@0-0.yml"].level == "good"
    assert found["settings pipeline@0-0.yml"].level == "bad"
    assert "lnaguage" in found["settings pipeline@0-0.yml"].found
    assert (found["lane 0-0"].level, found["lane 0-0"].found) == ("good", "ready, 2 of 4 calls")
    assert found["certificate connector.pem"].level == "bad"


def test_doctor_says_which_lanes_do_not_serve(tmp_path: Path, lanes: dict[str, Connector]) -> None:
    lanes["0-0"].state = "draining"
    lanes["0-1"].state, lanes["0-1"].reason = "unhealthy", "spool: no space left"
    found = {one.check: one for one in doctor_host.check(tmp_path, pki=tmp_path)}
    assert (found["lane 0-0"].level, found["lane 0-0"].remedy) == ("advice", "tellerline undrain 0-0")
    assert (found["lane 0-1"].level, found["lane 0-1"].found) == ("bad", "spool: no space left, 0 of 4 calls")


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (host.State("active", "running"), "good"),
        (host.State("active", "running", restarts=3), "advice"),
        (host.State("failed", "failed", "watchdog"), "bad"),
        (host.State(), "advice"),
    ],
)
def test_doctor_judges_a_unit(state: host.State, level: str) -> None:
    assert doctor_host.check_unit("tellerline-session.service", state).level == level


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A systemd that has OpenSIPS failed, PostgreSQL up, a Redis nobody wants, and none of the others."""
    told = {
        "opensips.service": ("failed", "enabled"),
        "postgresql@15-main.service": ("active", "enabled-runtime"),
        "redis-server.service": ("inactive", "disabled"),
    }
    blocks = [
        f"Id={unit}\nActiveState={state}\nUnitFileState={starts}" for unit, (state, starts) in told.items()
    ]
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ncat <<'END'\n" + "\n\n".join(blocks) + "\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_servers_of_others_are_looked_at_where_they_start_with_the_host(
    tmp_path: Path, lanes: dict[str, Connector], systemctl: None
) -> None:
    assert set(host.companions()) == {"opensips.service", "postgresql@15-main.service"}
    shown = status.look(tmp_path)
    assert "opensips.service is failed: journalctl -u opensips.service" in shown.faults
    assert not [fault for fault in shown.faults if "postgresql" in fault or "redis" in fault]
    found = {one.check: one for one in doctor_host.check(tmp_path, pki=tmp_path)}
    assert found["opensips.service"].level == "bad"
    assert found["postgresql@15-main.service"].level == "good"


@pytest.mark.parametrize(("said", "level"), [("yes", "good"), ("no", "advice"), ("", "advice")])
def test_doctor_judges_the_clock(said: str, level: str) -> None:
    assert doctor_host.check_clock(said).level == level


def test_doctor_advises_against_swap() -> None:
    assert doctor_host.check_swap(0).level == "good"
    assert doctor_host.check_swap(1 << 30).level == "advice"


def test_errors_that_may_not_be_seen_are_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status._unread(tmp_path / "none") == []
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "system.journal").touch()
    assert status._unread(tmp_path) == []
    monkeypatch.setattr(os, "access", lambda *_: False)
    [said] = status._unread(tmp_path)
    assert "systemd-journal" in said
