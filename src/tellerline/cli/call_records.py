"""`tellerline calls`, and what else is done with call records: `tellerline calls export`."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, date, datetime
from pathlib import Path

import click
import psycopg

from tellerline import audit, settings
from tellerline.cli.calls import calls as show
from tellerline.errors import ExportError
from tellerline.session import export as exporting


class _Calls(click.Group):
    """`calls` and `calls CALL` show; only what is named as a sub-command is one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts `show` in front of what names no sub-command."""
        if args[:1] != ["--help"] and (not args or args[0] not in self.commands):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Calls)
def calls() -> None:
    """List the live calls, or tell all about one (`calls CALL`); `calls export` writes records as CSV."""


calls.add_command(show, "show")


@calls.command()
@click.option(
    "--config", type=click.Path(path_type=Path), required=True, help="The session daemon's settings."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Where calls-YYYY-MM-DD.csv are written.",
)
@click.option(
    "--day",
    "chosen",
    type=click.DateTime(["%Y-%m-%d"]),
    multiple=True,
    help="A day, by UTC; any number of times. Without it: the days before today.",
)
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How many days before today, again: records of a lane that was cut off come late.",
)
@click.option("--callers", type=click.Choice(["full", "masked", "none"]), default="masked", show_default=True)
@click.option("--keep-days", type=click.IntRange(min=1), help="Remove files of days longer ago than this.")
@click.option(
    "--password", type=click.Path(path_type=Path), help="File, instead of the one the settings name."
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="File with the audit's key, instead of the unit's own (audit_key) or the one the settings name.",
)
def export(
    config: Path,
    folder: Path,
    chosen: tuple[datetime, ...],
    days: int,
    callers: exporting.Callers,
    keep_days: int | None,
    password: Path | None,
    key: Path | None,
) -> None:
    """Write call records as CSV, one file a day: no words of a call are in them. Audited first."""
    loaded = settings.load(settings.SessionSettings, config)
    database = loaded.database
    if password is not None:
        database = database.model_copy(update={"password": password})
    today = datetime.now(UTC).date()
    wanted: list[date] = [one.date() for one in chosen] or exporting.due(today, days)
    chain = audit.Chain(audit.read_key(key or _of_unit("audit_key") or loaded.audit_key), "session")
    try:
        written = asyncio.run(exporting.write(database, folder, wanted, callers, chain))
    except psycopg.Error as error:
        raise ExportError(f"the database said {type(error).__name__}; run it again") from error
    except OSError as error:
        raise ExportError(f"{folder}: cannot be written ({error.strerror})") from error
    for path, count in written.items():
        click.echo(f"{count:8} calls in {path}")
    for path in exporting.prune(folder, today, keep_days) if keep_days else ():
        click.echo(f"removed {path}")


def _of_unit(name: str) -> Path | None:
    """The credential systemd gave the unit we run in: the settings name those of the daemon's."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) / name if folder and (Path(folder) / name).exists() else None
