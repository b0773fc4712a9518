"""`tellerline recordings`: handed out for a reason, erased for good, and neither without the audit."""

from __future__ import annotations

import asyncio
import audioop
import base64
import os
import socket
import wave
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from tellerline import embedded, settings
from tellerline.cli.main import cli
from tellerline.connector import recording
from tellerline.database import postgres
from tellerline.recordings import Archive

_SAID = b"\x10\x27" * 160
_SILENCE = bytes(320)
HOST = socket.gethostname()


class Operator:
    """`tellerline recordings` over a database, with one recorded call in it."""

    CALL = "0123456789abcdef0123456789abcdef"

    def __init__(self, folder: Path, site: settings.RecordingSettings, fresh: embedded.Fresh) -> None:
        self.site = site
        self.key = folder / "audit.key"
        self.key.write_bytes(base64.b64encode(os.urandom(32)))
        self.settings = settings.SessionSettings(
            database=fresh.database("session"),
            redis=fresh.redis("session"),
            audit_key=self.key,
            audit_heads=folder / "heads",
        )
        self.files = {"session": folder / "session.yml", "connector": folder / "connector.yml"}
        self.files["session"].write_text(settings.dump(self.settings))
        self.files["connector"].write_text(settings.dump(settings.ConnectorSettings(recording=site)))
        self.owner = fresh.superuser()
        key = recording.new_key()
        file = recording.RecordingFile(site.folder / "call.tlrec", self.CALL, key)
        file.open()
        file.write(_SAID * 50, _SILENCE * 50, last=True)
        size = file.close()
        self._insert(recording.SiteKey(site).wrap(key, self.CALL), size)

    def _insert(self, wrapped: bytes, size: int) -> None:
        with psycopg.connect(**postgres.parameters(self.owner)) as connection:
            connection.execute(
                "INSERT INTO session.call (call_id, opened_at, lease_until) VALUES (%s, now(), now())",
                (self.CALL,),
            )
            connection.execute(
                "INSERT INTO session.recording (call_id, file, host, wrapped_key, key_id, started_at, "
                "seconds, bytes, complete) VALUES (%s, 'call.tlrec', %s, %s, '2026', now(), 1, %s, true)",
                (self.CALL, HOST, wrapped, size),
            )

    def run(self, *command: str) -> tuple[int, str]:
        options = ["--session", str(self.files["session"])]
        if command[0] != "list":
            options += ["--connector", str(self.files["connector"])]
        done = CliRunner().invoke(cli, ["recordings", *command, *options])
        return done.exit_code, done.output + (str(done.exception) if done.exception else "")

    def audited(self) -> list[tuple[str, str, str]]:
        with psycopg.connect(**postgres.parameters(self.owner)) as connection:
            rows = connection.execute("SELECT action, call_id, detail FROM audit.entry ORDER BY position")
            return [(str(action), str(call_id), str(detail)) for action, call_id, detail in rows]

    def wrapped_keys(self) -> list[bytes | None]:
        async def read() -> list[bytes | None]:
            archive = await Archive.open(self.settings)
            try:
                return [about.wrapped_key for about in await archive.newest(10)]
            finally:
                await archive.close()

        return asyncio.run(read())


@pytest.fixture
def operator(tmp_path: Path, site: settings.RecordingSettings, fresh: embedded.Fresh) -> Operator:
    return Operator(tmp_path, site, fresh)


def test_an_export_needs_a_reason_and_is_audited(operator: Operator, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    assert operator.run("export", Operator.CALL, "--to", str(out))[0] == 2
    assert operator.run("export", Operator.CALL, "--to", str(out), "--reason", " ")[0] == 2
    assert (out.exists(), operator.audited()) == (False, [])
    status, said = operator.run("export", Operator.CALL, "--to", str(out), "--reason", "complaint 4711")
    assert status == 0, said
    with wave.open(str(out)) as file:
        assert audioop.tomono(file.readframes(8000), 2, 1, 0) == _SAID * 50
    [(action, call_id, detail)] = operator.audited()
    assert (action, call_id) == ("recording_exported", Operator.CALL)
    assert "complaint 4711" in detail


def test_nothing_is_handed_out_that_is_not_audited(operator: Operator, tmp_path: Path) -> None:
    with psycopg.connect(**postgres.parameters(operator.owner)) as connection:
        connection.execute("REVOKE ALL ON audit.entry FROM tellerline_session")
    out = tmp_path / "out.wav"
    assert operator.run("export", Operator.CALL, "--to", str(out), "--reason", "complaint")[0] != 0
    assert operator.run("destroy", Operator.CALL, "--reason", "asked for")[0] != 0
    assert not out.exists()
    assert None not in operator.wrapped_keys()


def test_a_destroyed_key_erases_the_call(operator: Operator, tmp_path: Path) -> None:
    copy = tmp_path / "backup.tlrec"
    copy.write_bytes((operator.site.folder / "call.tlrec").read_bytes())
    assert "complete" in operator.run("list")[1]
    status, said = operator.run("destroy", Operator.CALL, "--reason", "the caller asked for it")
    assert status == 0, said
    assert "destroyed" in operator.run("list")[1]
    assert operator.wrapped_keys() == [None]
    assert not (operator.site.folder / "call.tlrec").exists()
    # Nor does the file come back from a backup.
    copy.rename(operator.site.folder / "call.tlrec")
    status, said = operator.run("export", Operator.CALL, "--reason", "x", "--to", str(tmp_path / "o.wav"))
    assert status != 0 and "was destroyed" in said
    assert [action for action, _, _ in operator.audited()] == ["recording_destroyed"]
    assert operator.run("destroy", Operator.CALL, "--reason", "again")[0] == 0
    assert len(operator.audited()) == 1


def test_a_sweep_removes_files_without_a_key_and_no_other(operator: Operator) -> None:
    file = operator.site.folder / "call.tlrec"
    assert operator.run("sweep") == (0, "0 removed\n")
    assert file.exists()
    with psycopg.connect(**postgres.parameters(operator.owner)) as connection:
        connection.execute("UPDATE session.recording SET wrapped_key = NULL, destroyed_at = now()")
    assert operator.run("sweep") == (0, "1 removed\n")
    assert not file.exists()


def test_another_site_key_is_asked_for_by_its_id(operator: Operator, tmp_path: Path) -> None:
    newer = operator.site.model_copy(update={"key_id": "2027"})
    operator.files["connector"].write_text(settings.dump(settings.ConnectorSettings(recording=newer)))
    _, said = operator.run("export", Operator.CALL, "--reason", "x", "--to", str(tmp_path / "o.wav"))
    assert "is under site key 2026, not 2027" in said
    assert operator.audited() == []


def test_what_is_not_there_is_said(operator: Operator, tmp_path: Path) -> None:
    _, said = operator.run("export", "f" * 32, "--reason", "x")
    assert "has no recording" in said
    (operator.site.folder / "call.tlrec").unlink()
    _, said = operator.run("export", Operator.CALL, "--reason", "x", "--to", str(tmp_path / "o.wav"))
    assert f"is not on this host; ask on {HOST}" in said
    assert operator.audited() == []
