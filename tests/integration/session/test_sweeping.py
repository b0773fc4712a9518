"""A connector's disk follows the session service: what nobody can open any more goes, and nothing else."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from records import append, eventually, opened, record, rows

from tellerline import embedded
from tellerline.connector.sweeping import Sweeper
from tellerline.rpc import session_pb2 as pb
from tellerline.settings import ServiceAddresses

_DAY_SECONDS = 24 * 3600
_CALLS_DAYS = 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "recordings"
    made.mkdir()
    return made


@pytest.fixture
def service(start_service: Any, fresh: embedded.Fresh) -> Any:
    return start_service(fresh, retention={"calls_days": _CALLS_DAYS, "every_hours": 2})


@pytest.fixture
def sweeper(service: Any, folder: Path) -> Sweeper:
    return Sweeper(ServiceAddresses(addresses=(service.address,)), folder, "cpu-0")


async def recorded(client: Any, folder: Path, host: str = "") -> Path:
    """A call with a recording on this host's disk."""
    call_id = uuid.uuid4().hex
    path = _file(folder, f"{call_id}.tlrec")
    about = pb.RecordingStarted(
        file=path.name, host=host or socket.gethostname(), wrapped_key=b"k", key_id="1"
    )
    await append(client, opened(call_id), record(call_id, 2, "connector@cpu-0", recording_started=about))
    return path


def _file(folder: Path, name: str, days_old: float = 0) -> Path:
    path = folder / name
    path.write_bytes(b"noise")
    at = time.time() - days_old * _DAY_SECONDS
    os.utime(path, (at, at))
    return path


def _destroy(fresh: embedded.Fresh, path: Path) -> None:
    statement = "UPDATE session.recording SET wrapped_key = NULL, destroyed_at = now() WHERE file = %s"
    rows(fresh, f"{statement} RETURNING file", path.name)


async def test_files_without_a_key_go_and_no_other(
    client: Any, sweeper: Sweeper, folder: Path, fresh: embedded.Fresh
) -> None:
    kept, gone, elsewhere = [await recorded(client, folder, host) for host in ("", "", "gpu9")]
    stray = _file(folder, "notes.txt")
    assert await sweeper.sweep(client) == 2 * 3600
    assert all(path.exists() for path in (kept, gone, elsewhere, stray))
    _destroy(fresh, gone)
    _destroy(fresh, elsewhere)
    await sweeper.sweep(client)
    assert [path.exists() for path in (kept, gone, elsewhere, stray)] == [True, False, True, True]


async def test_a_file_of_no_call_goes_once_no_call_is_kept_so_long(
    client: Any, sweeper: Sweeper, folder: Path
) -> None:
    young = _file(folder, "young.tlrec", days_old=_CALLS_DAYS - 1)
    old = _file(folder, "old.tlrec", days_old=_CALLS_DAYS + 30)
    await sweeper.sweep(client)
    assert (young.exists(), old.exists()) == (True, False)


async def test_more_files_than_a_request_takes(client: Any, sweeper: Sweeper, folder: Path) -> None:
    others = [_file(folder, f"{number}.tlrec") for number in range(2100)]
    last = _file(folder, "last.tlrec", days_old=_CALLS_DAYS + 30)
    await sweeper.sweep(client)
    assert not last.exists() and all(path.exists() for path in others)


async def test_it_begins_by_itself(
    client: Any, sweeper: Sweeper, folder: Path, fresh: embedded.Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tellerline.connector.sweeping")
    gone = await recorded(client, folder)
    _destroy(fresh, gone)
    running = asyncio.create_task(sweeper.run())
    await eventually(lambda: asyncio.sleep(0, "recordings swept: 1 without a key" in caplog.text))
    running.cancel()
    assert not gone.exists()


async def test_a_service_that_is_away_costs_no_file(folder: Path, tmp_path: Path) -> None:
    old = _file(folder, "old.tlrec", days_old=10_000)
    nobody = ServiceAddresses(addresses=(f"unix:{tmp_path}/nobody.sock",))
    running = asyncio.create_task(Sweeper(nobody, folder, "cpu-0").run())
    await asyncio.wait({running}, timeout=1)
    assert not running.done() and old.exists()
    running.cancel()
