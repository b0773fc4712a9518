"""`tellerline recordings list|export|destroy|sweep`: the recordings of consenting callers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tellerline import settings
from tellerline.errors import RecordingError
from tellerline.recordings import Archive, Recording

_T = TypeVar("_T")

_session = click.option(
    "--session",
    type=click.Path(path_type=Path),
    required=True,
    help="YAML settings of the session service: where the keys and the audit are.",
)
_connector = click.option(
    "--connector",
    type=click.Path(path_type=Path),
    help="YAML settings of a connector of this host: where its recordings and the site key are.",
)
_reason = click.option("--reason", required=True, help="Why; kept in the audit.")


@click.group()
def recordings() -> None:
    """List, hand out and destroy the recordings of consenting callers."""


@recordings.command("list")
@_session
@click.option("--newest", "count", type=click.IntRange(1), default=20, help="How many.")
def show(session: Path, count: int) -> None:
    """Show the newest recordings."""
    for about in _with(session, lambda archive: archive.newest(count)):
        click.echo(_line(about))


@recordings.command()
@click.argument("call_id")
@_reason
@_session
@_connector
@click.option("--to", type=click.Path(path_type=Path), help="WAV file to make; CALL_ID.wav by default.")
def export(call_id: str, reason: str, session: Path, connector: Path | None, to: Path | None) -> None:
    """Write the recording of CALL_ID as WAV: the caller left, the bot right."""
    if connector is None:
        raise click.UsageError("give --connector FILE, on the host that made the recording")
    wav = to or Path(f"{call_id}.wav")
    folder = _recording(connector)
    complete = _with(session, lambda archive: archive.export(call_id, _said(reason), folder, wav))
    click.echo(f"{wav}" if complete else f"{wav}: incomplete, the recording was cut off")


@recordings.command()
@click.argument("call_id")
@_reason
@_session
@_connector
def destroy(call_id: str, reason: str, session: Path, connector: Path | None) -> None:
    """Destroy the key of CALL_ID's recording, which erases it wherever its file is."""
    folder = _recording(connector) if connector is not None else None
    click.echo(_line(_with(session, lambda archive: archive.destroy(call_id, _said(reason), folder))))


@recordings.command()
@_session
@_connector
def sweep(session: Path, connector: Path | None) -> None:
    """Remove this host's files whose key was destroyed."""
    if connector is None:
        raise click.UsageError("give --connector FILE: it says where the files are")
    folder = _recording(connector)
    click.echo(f"{_with(session, lambda archive: archive.sweep(folder))} removed")


def _with(session: Path, work: Callable[[Archive], Awaitable[_T]]) -> _T:
    loaded = settings.load(settings.SessionSettings, session)

    async def run() -> _T:
        archive = await Archive.open(loaded)
        try:
            return await work(archive)
        finally:
            await archive.close()

    return asyncio.run(run())


def _recording(connector: Path) -> settings.RecordingSettings:
    loaded = settings.load(settings.ConnectorSettings, connector)
    if loaded.recording is None:
        raise RecordingError(f"{connector}: has no `recording`; give the settings of a lane that records")
    return loaded.recording


def _said(reason: str) -> str:
    if not reason.strip():
        raise click.UsageError("--reason: say why; it is kept in the audit")
    return reason.strip()


def _line(about: Recording) -> str:
    state: Any = "recording"
    if about.destroyed_at is not None:
        state = f"destroyed {about.destroyed_at:%Y-%m-%d %H:%M:%S}"
    elif about.complete is not None:
        state = "complete" if about.complete else "cut off"
    seconds = f"{about.seconds:8.1f} s" if about.seconds is not None else f"{'-':>10}"
    return f"{about.call_id}  {about.started_at:%Y-%m-%d %H:%M:%S}  {seconds}  {about.host}  {state}"
