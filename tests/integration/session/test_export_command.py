"""`tellerline calls export` on a database a service has filled."""

from __future__ import annotations

import asyncio
import base64
import csv
import getpass
import io
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from records import rows as of_database

from tellerline import embedded
from tellerline.cli.main import cli
from tellerline.rpc import session_pb2 as pb

NUMBER = "+4917212345678"


async def export(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, cli, ["calls", "export", *arguments])


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


async def test_yesterdays_call_is_a_row_without_its_words(
    start_service: Any,
    connect: Any,
    fresh: embedded.Fresh,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = start_service(fresh)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    at = int((time.time() - 86_400) * 1000)
    facts = (
        {"call_opened": pb.CallOpened(lane="cpu-0", caller=NUMBER, called="100")},
        {"turn_taken": pb.TurnTaken(turn_id=1, language="en", heard="my card", intent="card_delivery")},
        {"handed_over": pb.HandedOver(reference="r-1", target="sip:a@b", summary="Card posted.")},
        {"call_closed": pb.CallClosed(reason="goodbye", talk_seconds=12.5, codec="PCMA")},
    )
    records = [
        pb.Record(call_id="c-1", producer="pipeline@cpu-0/1", sequence=number, at_unix_ms=at, **fact)
        for number, fact in enumerate(facts, start=1)
    ]
    await connect(service).call("Append", pb.AppendRequest(records=records), within_seconds=5)
    chosen = ("--config", str(service.config), "--folder", str(tmp_path))

    done = await export(*chosen, "--callers", "full")
    assert done.exit_code == 0, done.output
    path = tmp_path / f"calls-{yesterday.isoformat()}.csv"
    (row,) = rows(path)
    assert row["caller"] == NUMBER
    assert (row["reason"], row["talk_seconds"], row["turns"]) == ("goodbye", "12.5", "1")
    assert (row["intents"], row["handed_over"], row["recorded"]) == ("card_delivery", "yes", "no")
    assert "my card" not in path.read_text()
    assert "Card posted." not in path.read_text()
    assert done.output.count("calls in") == 3

    # The nightly unit has a copy of its own; the daemon's is not for it.
    (tmp_path / "audit_key").write_bytes(service.settings.audit_key.read_bytes())
    service.settings.audit_key.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    await export(*chosen)
    entries = of_database(fresh, "SELECT detail::json FROM audit.entry WHERE action = 'calls_exported'")
    (first, second) = (detail for (detail,) in entries)
    assert (first["callers"], first["last_day"], first["days"]) == ("full", yesterday.isoformat(), 3)
    assert (second["callers"], second["operator"]) == ("masked", getpass.getuser())
    # Nothing leaves that nobody could tell of.
    path.unlink()
    assert (await export(*chosen, "--key", str(tmp_path / "none"))).exit_code != 0
    assert not path.exists()
    await export(*chosen)
    assert rows(path)[0]["caller"] == "***78"
    assert path.stat().st_mode & 0o777 == 0o640


async def test_a_database_that_is_away_leaves_the_files(tmp_path: Path) -> None:
    config, key = tmp_path / "session.yml", tmp_path / "audit.key"
    key.write_bytes(base64.b64encode(bytes(32)))
    config.write_text(
        "database: {dsn: host=127.0.0.1 port=1 dbname=x}\n"
        f"redis: {{url: 'redis://127.0.0.1:1/0'}}\naudit_key: {key}\n"
    )
    kept = tmp_path / "calls-2026-01-01.csv"
    kept.write_text("kept")
    done = await export("--config", str(config), "--folder", str(tmp_path), "--day", "2026-01-01")
    assert "OperationalError" in str(done.exception)
    assert kept.read_text() == "kept"
