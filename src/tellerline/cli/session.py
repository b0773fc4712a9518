"""`tellerline session`: run the daemon, rebuild its read side, look after records set aside."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tellerline import settings
from tellerline.cli import daemons
from tellerline.cli.set_aside import set_aside

_CONFIG = click.option("--config", type=click.Path(path_type=Path), help="YAML settings of this daemon.")


@click.group(
    "session",
    invoke_without_command=True,
    help="Calls, turns and audit, kept for good. Give --config to run, --check-config to only check a file.",
)
@_CONFIG
@click.option("--check-config", type=click.Path(path_type=Path), help="Check this file and exit.")
@click.pass_context
def session(context: click.Context, config: Path | None, check_config: Path | None) -> None:
    """The daemon, unless a sub-command follows."""
    context.obj = config
    if context.invoked_subcommand is None:
        daemons.run("session", settings.SessionSettings, "tellerline.session.server", config, check_config)


@session.command()
@_CONFIG
@click.pass_obj
def rebuild(outer: Path | None, config: Path | None) -> None:
    """Build the read side in Redis anew from PostgreSQL; calls go on meanwhile."""
    path = config or outer
    if path is None:
        raise click.UsageError("give --config FILE: the session daemon's settings")
    from tellerline.session import server

    count = asyncio.run(server.rebuild(settings.load(settings.SessionSettings, path)))
    click.echo(f"built the views of {count} calls")


session.add_command(set_aside)
