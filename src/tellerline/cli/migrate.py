"""`tellerline migrate`: bring the database's schema to this release."""

from __future__ import annotations

from pathlib import Path

import click

from tellerline.database import migrate as migrations
from tellerline.settings import DatabaseSettings


@click.command()
@click.option(
    "--dsn",
    required=True,
    help="libpq connection string, as tellerline_owner: host=... dbname=tellerline user=...",
)
@click.option("--password-file", type=click.Path(path_type=Path), help="File with that role's password.")
def migrate(dsn: str, password_file: Path | None) -> None:
    """Apply what is missing of this release's schema; a second run changes nothing.

    The roles have to be there (src/tellerline/database/roles.sql, run once by a superuser). The previous
    release goes on running on the new schema.
    """
    applied = migrations.apply(DatabaseSettings(dsn=dsn, password=password_file))
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("nothing to do")
