"""A thousand secrets are typed, and looked for wherever anything of a call may be left."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import struct
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from free_ports import free_port
from held import held
from lane_processes import LaneMaker, LaneProcesses
from sip_phone import TELEPHONE_EVENT, Phone, rtp, wait_until
from stand_in_services import SecretInput

from tellerline import embedded, settings
from tellerline.connector import recording
from tellerline.database import postgres

SECRETS, DIGITS, PHONES = 1000, 12, 4
_RUN = re.compile(rb"[0-9]{12,}")
# How long a key has been down, in both of its packets.
_TICKS = (160, 320)


def _type(phone: Phone, secret: bytes) -> None:
    """Keys as RFC 4733 events, two packets each, faster than a person but in order."""
    line = phone.talk()
    for key in secret:
        for duration in _TICKS:
            end = 0x80 if duration == _TICKS[-1] else 0
            body = struct.pack("!BBH", key - ord("0"), end | 10, duration)
            packet = rtp(
                body,
                line.sequence,
                line.timestamp,
                payload_type=TELEPHONE_EVENT,
                marker=duration == _TICKS[0],
            )
            phone.media.sendto(packet, line.remote)
            line.sequence += 1
            time.sleep(0.002)
        line.timestamp += _TICKS[-1]


def _type_all(phone: Phone, secrets: list[bytes], checked: Callable[[str], int]) -> None:
    phone.talk().wait_packets(10)
    phone.talk().sending = False
    for count, secret in enumerate(secrets, start=1):
        _type(phone, secret)
        # One may be typed ahead, but more would not fit.
        wait_until(lambda count=count: checked(phone.call_id) >= count - 1, 10, f"secret {count}")  # type: ignore[misc]
    wait_until(lambda: checked(phone.call_id) == len(secrets), 10, "the last secret")
    phone.talk().sending = True


def _found(data: bytes, secrets: set[bytes]) -> list[bytes]:
    windows = (
        run.group()[at : at + DIGITS]
        for run in _RUN.finditer(data)
        for at in range(len(run.group()) - DIGITS + 1)
    )
    return [window for window in windows if window in secrets]


@pytest.fixture
def secrets() -> list[bytes]:
    chance = random.Random(4733)
    return [b"".join(b"%d" % chance.randrange(10) for _ in range(DIGITS)) for _ in range(SECRETS)]


@contextlib.contextmanager
def _calling(lane: LaneProcesses) -> Iterator[list[Phone]]:
    with contextlib.ExitStack() as stack:
        phones = [stack.enter_context(lane.phone("secret")) for _ in range(PHONES)]
        assert [phone.invite().status for phone in phones] == [200] * PHONES
        yield phones


def _metrics(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        return bytes(page.read())


def _accepted(port: int) -> int:
    """How many dark inputs banking accepted, as the connector counts them."""
    counted = re.findall(
        rb'^tellerline_connector_dark_inputs_total\{.*outcome="accepted".*\} (\S+)$',
        _metrics(port),
        re.MULTILINE,
    )
    return int(sum(map(float, counted)))


def _core(pid: int, path: Path) -> bytes:
    if shutil.which("gcore") is None:
        pytest.skip("gcore is not installed: apt-get install gdb")
    subprocess.run(["gcore", "-o", str(path), str(pid)], check=True, capture_output=True, timeout=60)
    core = path.with_name(f"{path.name}.{pid}")
    try:
        return core.read_bytes()
    finally:
        core.unlink()


class CheckedPerCall:
    """How many secrets banking was asked to check, by SIP call."""

    def __init__(self, lane: LaneProcesses, banking: SecretInput) -> None:
        self._banking = banking
        self._calls = {str(record["sip_call_id"]): str(record["call_id"]) for record in lane.records()}

    def __call__(self, sip_call_id: str) -> int:
        call_id = self._calls[sip_call_id]
        return sum(request.call_id == call_id for request in list(self._banking.asked))


def _type_everything(
    lane: LaneProcesses, phones: list[Phone], banking: SecretInput, secrets: list[bytes]
) -> None:
    checked = CheckedPerCall(lane, banking)
    typists = [
        threading.Thread(target=_type_all, args=(phone, secrets[at::PHONES], checked))
        for at, phone in enumerate(phones)
    ]
    for typist in typists:
        typist.start()
    for typist in typists:
        typist.join()
    # Every secret arrived whole, so what follows looks for something that was there.
    assert sorted(request.digits for request in banking.asked) == sorted(secrets)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("binaries", ["wheels"], indirect=True)
def test_a_thousand_secrets_are_nowhere(
    make_lane: LaneMaker,
    banking: tuple[SecretInput, settings.ServiceAddresses],
    real_session: settings.ServiceAddresses,
    site: settings.RecordingSettings,
    fresh: embedded.Fresh,
    secrets: list[bytes],
    tmp_path: Path,
) -> None:
    metrics_port = free_port()
    lane = make_lane(
        banking=banking[1],
        session=real_session,
        recording=site,
        monitoring=settings.Monitoring(log_level="debug", metrics_port=metrics_port),
    )
    sinks: dict[str, bytes] = {}
    with _calling(lane) as phones:
        _type_everything(lane, phones, banking[0], secrets)
        # Banking has been asked; what it is asked with is overwritten when it has answered.
        wait_until(lambda: _accepted(metrics_port) == SECRETS, 10, "banking's answers")
        sinks["connector core"] = _core(lane.connector.pid, tmp_path / "core")
        sinks["pipeline core"] = _core(lane.pipeline.pid, tmp_path / "core")
        sinks["metrics"] = _metrics(metrics_port)
        sinks["spool"] = b"".join(held(lane.spool).values())
    wait_until(lambda: lane.records() == [], 10, "the records to be collected")
    sinks["Postgres"] = _postgres(fresh)
    sinks["Redis"] = _redis(fresh)
    sinks["connector log, SIP included"] = lane.log("connector").encode()
    sinks["pipeline log"] = lane.log("pipeline").encode()
    sinks["session log"] = (tmp_path / "session.log").read_bytes()
    sinks["recordings"] = b"".join(held(site.folder).values())
    # What each holds of these calls, so that an empty one proves nothing by accident.
    call_id = banking[0].asked[0].call_id.encode()
    its_own = {
        "metrics": b"tellerline_connector_dark_inputs_total",
        "recordings": b"TLREC",
        "session log": b"session",
    }
    assert [name for name, data in sinks.items() if its_own.get(name, call_id) not in data] == []
    assert {name: _found(data, set(secrets)) for name, data in sinks.items()} == {name: [] for name in sinks}
    _only_silence(fresh, site)


def _postgres(fresh: embedded.Fresh) -> bytes:
    """Every row of every table, in the raw."""
    with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname IN ('session', 'banking', 'audit')"
        ).fetchall()
        parts = []
        for (table,) in tables:
            with connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)") as copy:
                parts += [bytes(part) for part in copy]
    return b"".join(parts)


def _redis(fresh: embedded.Fresh) -> bytes:
    """Every key with its value, streams included."""
    chosen = fresh.redis("admin")
    assert chosen.password is not None
    read: dict[bytes, Callable[[redis.Redis, bytes], object]] = {
        b"string": lambda client, key: client.get(key),
        b"hash": lambda client, key: client.hgetall(key),
        b"stream": lambda client, key: client.xrange(key),
        b"set": lambda client, key: client.smembers(key),
        b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
        b"list": lambda client, key: client.lrange(key, 0, -1),
    }
    with redis.Redis.from_url(
        chosen.url, username=chosen.user, password=chosen.password.read_text().strip()
    ) as client:
        return repr([(key, read[client.type(key)](client, key)) for key in client.scan_iter()]).encode()


def _only_silence(fresh: embedded.Fresh, site: settings.RecordingSettings) -> None:
    """No call was ever anything but dark, so its recording is one gap."""
    with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
        kept = connection.execute("SELECT call_id, file, wrapped_key FROM session.recording").fetchall()
    assert len(kept) == PHONES
    for call_id, file, wrapped in kept:
        key = recording.SiteKey(site).unwrap(wrapped, call_id)
        chunks = [chunk for chunk, _ in recording.read(site.folder / file, call_id, key)]
        assert chunks and not any(b"".join(chunks))


def test_the_search_finds_what_is_there(secrets: list[bytes]) -> None:
    assert _found(b"x" + b"9" * 3 + secrets[7] + b"1 y", {secrets[7]}) == [secrets[7]]
