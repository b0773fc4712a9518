"""`tellerline erase --customer`: removes a person from everything but the pseudonymous audit."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import psycopg

from tellerline import audit, settings
from tellerline.database import postgres
from tellerline.database import redis as redis_database
from tellerline.errors import ErasureError
from tellerline.session.erasure import Erased, Eraser
from tellerline.session.redis import RedisViews


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path), required=True, help="The session daemon's settings."
)
@click.option(
    "--customer",
    "customers",
    multiple=True,
    required=True,
    help="Customer number, or the bank's reference of the customer; give both, each with its own --customer.",
)
@click.option("--reason", required=True, help="Why; kept in the audit. Name nobody in it.")
def erase(config: Path, customers: tuple[str, ...], reason: str) -> None:
    """Remove a customer: transcripts, contexts, recordings' keys, numbers called from, attempts, references.

    Exits with 1 while a call of theirs is open or an order in doubt: repeat it then.
    """
    if not reason.strip():
        raise click.UsageError("--reason: say why; it is kept in the audit")
    loaded = settings.load(settings.SessionSettings, config)
    try:
        erased = asyncio.run(_erase(loaded, customers, reason.strip()))
    except psycopg.Error as error:
        raise ErasureError(f"nothing was erased, the database said {type(error).__name__}") from error
    click.echo(f"{len(erased.call_ids)} calls of theirs")
    for what, count in erased.counts.items():
        click.echo(f"{count:8} {what.replace('_', ' ')}")
    if not erased.views:
        click.echo(
            "Redis cannot be reached: what it shows of these calls ends with its time, or at its return"
        )
    if erased.open_calls:
        click.echo(f"{erased.open_calls} calls are still open: erase again when they have ended")
    if erased.unsettled:
        click.echo(f"{erased.unsettled} orders are in doubt: erase again when they are settled")
    sys.exit(0 if erased.complete else 1)


async def _erase(loaded: settings.SessionSettings, customers: tuple[str, ...], reason: str) -> Erased:
    key = audit.read_key(loaded.audit_key)
    client = redis_database.client(loaded.redis)
    parameters = postgres.parameters(loaded.database)
    try:
        async with await psycopg.AsyncConnection.connect(**parameters, autocommit=True) as connection:
            views = RedisViews(client, loaded.context_ttl_seconds)
            return await Eraser(connection, key, views).erase(customers, reason)
    finally:
        await client.aclose()
