"""`tellerline unlock`: lifts the lock of a customer who failed too often, once the bank knows them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from tellerline import audit, settings
from tellerline.banking import books
from tellerline.banking.postgres import Database
from tellerline.banking.sealing import read_sealing
from tellerline.banking.tables import PostgresAttempts


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path), required=True, help="The banking daemon's settings."
)
@click.option("--reason", required=True, help="Why, and who vouches; kept in the audit. Name nobody in it.")
def unlock(config: Path, reason: str) -> None:
    """Lift the lock of a customer number, asked for at the prompt or read from standard input.

    Exits with 1 where there was no failed attempt to forget.
    """
    if not reason.strip():
        raise click.UsageError("--reason: say why; it is kept in the audit")
    # Not an argument: the list of processes would show it.
    number = click.prompt("Customer number", hide_input=True, err=True).strip()
    failures = asyncio.run(_unlock(settings.load(settings.BankingSettings, config), number, reason.strip()))
    click.echo(f"{failures} failed attempts forgotten" if failures else "no failed attempts")
    sys.exit(0 if failures else 1)


async def _unlock(loaded: settings.BankingSettings, number: str, reason: str) -> int:
    subject = read_sealing(loaded.audit_key).pseudonym("customer_number", number)
    database = Database(loaded.database, audit.Chain(audit.read_key(loaded.audit_key), service="banking"))
    await database.open()
    try:
        event = books.Event("customer_unlocked", None, subject, {"reason": reason})
        return await PostgresAttempts(database).released(subject, event)
    finally:
        await database.close()
