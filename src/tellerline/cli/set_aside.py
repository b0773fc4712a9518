"""`tellerline session set-aside`: records nobody could store: why, another try, or given up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from tellerline import audit, settings
from tellerline.database import postgres
from tellerline.errors import ServiceUnavailable, TruthAway
from tellerline.session.aside import Aside, Kept

_T = TypeVar("_T")

_config = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The session daemon's settings; may stand before set-aside.",
)
_ids = click.argument("ids", nargs=-1, type=int)


@click.group("set-aside")
def set_aside() -> None:
    """Look after records that could not be stored."""


@set_aside.command("list")
@_config
@click.pass_obj
def show(outer: Path | None, config: Path | None) -> None:
    """Show which there are, why and since when; never what is in them."""
    kept = _with(config or outer, lambda aside: aside.listed())
    for one in kept:
        click.echo(_line(one))
    if not kept:
        click.echo("nothing lies aside")


@set_aside.command()
@_ids
@_config
@click.pass_obj
def retry(outer: Path | None, config: Path | None, ids: tuple[int, ...]) -> None:
    """Store those with these IDS, or all, if that can be done by now. Exits with 1 where some stay."""

    async def again(aside: Aside) -> int:
        stay = 0
        for one in await _found(aside, ids):
            why = await aside.retry(one)
            stay += bool(why)
            click.echo(f"{one.id}: {f'stays: {why}' if why else 'stored'}")
        return stay

    sys.exit(1 if _with(config or outer, again) else 0)


@set_aside.command()
@_ids
@click.option("--all", "everything", is_flag=True, help="All there are.")
@click.option("--reason", required=True, help="Why they may go; kept in the audit. Name nobody in it.")
@_config
@click.pass_obj
def drop(
    outer: Path | None, config: Path | None, ids: tuple[int, ...], everything: bool, reason: str
) -> None:
    """Give those with these IDS up, for good."""
    if not reason.strip():
        raise click.UsageError("--reason: say why; it is kept in the audit")
    if bool(ids) == everything:
        raise click.UsageError("name the IDS to give up, or --all")

    async def away(aside: Aside) -> None:
        for one in await _found(aside, ids):
            await aside.drop(one, reason.strip())
            click.echo(f"{one.id}: dropped")

    _with(config or outer, away)


async def _found(aside: Aside, ids: tuple[int, ...]) -> list[Kept]:
    found = await aside.listed(ids)
    if missing := set(ids) - {one.id for one in found}:
        raise click.ClickException(f"there is no {', '.join(map(str, sorted(missing)))}; see `list`")
    return found


def _with(path: Path | None, work: Callable[[Aside], Awaitable[_T]]) -> _T:
    if path is None:
        raise click.UsageError("give --config FILE: the session daemon's settings")
    loaded = settings.load(settings.SessionSettings, path)

    async def run() -> _T:
        chain = audit.Chain(audit.read_key(loaded.audit_key), service="session")
        async with postgres.pool(loaded.database) as pool:
            return await work(Aside(pool, chain))

    try:
        return asyncio.run(run())
    except TruthAway as error:
        raise ServiceUnavailable(str(error)) from error


def _line(one: Kept) -> str:
    # A broken producer may have put anything into its names.
    call_id, producer = (ascii(name)[1:-1] for name in (one.call_id, one.producer))
    return (
        f"{one.id:>6}  {one.set_aside_at:%Y-%m-%d %H:%M:%S}  {call_id or '-'}  {producer or '-'}"
        f"  {one.sequence}  {one.kind or '-'}  {one.reason}"
    )
