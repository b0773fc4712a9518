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

import pytest
from lane_processes import LaneMaker, LaneProcesses
from stand_in_services import SecretInput, Server, Session
from sip_phone import TELEPHONE_EVENT, Phone, rtp, wait_until

from tellerline import settings
from tellerline.connector import recording

SECRETS, DIGITS, PHONES = 1000, 12, 4
_RUN = re.compile(rb"[0-9]{12,}")
# gcore's own buffers are in no core; ours would be, so nothing here may keep digits next to each other there.
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


def _type_all(phone: Phone, secrets: list[bytes], asked: Callable[[str], int]) -> None:
    phone.talk().wait_packets(10)
    phone.talk().sending = False
    for count, secret in enumerate(secrets, start=1):
        _type(phone, secret)
        # One may be typed ahead, but more would not fit.
        wait_until(lambda count=count: asked(phone.call_id) >= count - 1, 10, f"secret {count}")  # type: ignore[misc]
    wait_until(lambda: asked(phone.call_id) == len(secrets), 10, "the last secret")
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


def _core(pid: int, path: Path) -> bytes:
    if shutil.which("gcore") is None:
        pytest.skip("gcore is not installed: apt-get install gdb")
    subprocess.run(["gcore", "-o", str(path), str(pid)], check=True, capture_output=True, timeout=60)
    core = path.with_name(f"{path.name}.{pid}")
    try:
        return core.read_bytes()
    finally:
        core.unlink()


@pytest.mark.timeout(180)
def test_a_thousand_secrets_are_nowhere(
    make_lane: LaneMaker,
    banking: tuple[SecretInput, settings.ServiceAddresses],
    session: tuple[Session, Server, settings.ServiceAddresses],
    site: settings.RecordingSettings,
    secrets: list[bytes],
    free_port: Callable[[], int],
    tmp_path: Path,
) -> None:
    checked, told = banking[0], session[0]
    metrics_port = free_port()
    lane = make_lane(
        banking=banking[1],
        session=session[2],
        recording=site,
        monitoring=settings.Monitoring(log_level="debug", metrics_port=metrics_port),
    )

    def asked(sip_call_id: str) -> int:
        ids = {
            fact.call_id
            for fact in told.facts.values()
            if fact.WhichOneof("fact") == "call_opened" and fact.call_opened.sip_call_id == sip_call_id
        }
        return sum(request.call_id in ids for request in checked.asked)

    with _calling(lane) as phones:
        typists = [
            threading.Thread(target=_type_all, args=(phone, secrets[at::PHONES], asked))
            for at, phone in enumerate(phones)
        ]
        for typist in typists:
            typist.start()
        for typist in typists:
            typist.join()
        # Every secret arrived whole, so what follows looks for something that was there.
        assert sorted(request.digits for request in checked.asked) == sorted(secrets)
        wanted = set(secrets)
        for process in (lane.connector, lane.pipeline):
            core = _core(process.pid, tmp_path / "core")
            assert b"tellerline" in core
            assert _found(core, wanted) == []
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as page:
            numbers = page.read()
        assert b"tellerline_connector_dark_inputs_total" in numbers
        spooled = b"".join(path.read_bytes() for path in lane.spool.glob("*"))
    wait_until(lambda: lane.records() == [], 10, "the records to be collected")
    sinks = {
        "metrics": numbers,
        "spool": spooled,
        "facts": b"".join(fact.SerializeToString() for fact in told.facts.values()),
        "connector log, SIP included": lane.log("connector").encode(),
        "pipeline log": lane.log("pipeline").encode(),
        "settings": lane.config.read_bytes(),
        "recordings": b"".join(path.read_bytes() for path in site.folder.glob("*")),
    }
    assert {name: _found(data, wanted) for name, data in sinks.items()} == {name: [] for name in sinks}
    assert all(sinks.values()), "a sink is empty and proves nothing"
    _only_silence(told, site)


def _only_silence(told: Session, site: settings.RecordingSettings) -> None:
    """No call was ever anything but dark, so its recording is one gap."""
    wrapped = {
        fact.call_id: fact.recording_started.wrapped_key
        for fact in told.facts.values()
        if fact.WhichOneof("fact") == "recording_started"
    }
    assert len(wrapped) == PHONES
    for call_id, key in wrapped.items():
        key = recording.SiteKey(site).unwrap(key, call_id)
        chunks = [chunk for chunk, _ in recording.read(site.folder / f"{call_id}.tlrec", call_id, key)]
        assert chunks and not any(b"".join(chunks))


def test_the_search_finds_what_is_there(secrets: list[bytes]) -> None:
    assert _found(b"x" + b"9" * 3 + secrets[7] + b"1 y", {secrets[7]}) == [secrets[7]]
