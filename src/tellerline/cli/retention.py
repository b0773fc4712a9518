"""`tellerline retention`: destroys now what was kept long enough; the session daemon does so on a timer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import psycopg

from tellerline import audit, settings
from tellerline.database import postgres
from tellerline.errors import RetentionError
from tellerline.session.retention import Retention


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path), required=True, help="The session daemon's settings."
)
def retention(config: Path) -> None:
    """Destroy what was kept long enough: transcripts, recordings' keys, calls."""
    loaded = settings.load(settings.SessionSettings, config)
    try:
        destroyed = asyncio.run(_apply(loaded))
    except psycopg.Error as error:
        raise RetentionError(f"the database said {type(error).__name__}; run it again") from error
    for kind, count in destroyed.items():
        click.echo(f"{count:8} {kind.replace('_', ' ')}")


async def _apply(loaded: settings.SessionSettings) -> dict[str, int]:
    chain = audit.Chain(audit.read_key(loaded.audit_key), "session")
    async with postgres.pool(loaded.database) as pool:
        return await Retention(pool, chain, loaded.retention).apply()
