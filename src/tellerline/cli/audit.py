"""`tellerline audit verify`: whether anybody touched the audit chain."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import psycopg

from tellerline import audit as chain
from tellerline import audit_heads, settings
from tellerline.audit_verification import KINDS, Report
from tellerline.audit_verification import verify as verify_chain
from tellerline.database import postgres
from tellerline.errors import AuditError

_SHOWN_MAX = 50


@click.group()
def audit() -> None:
    """Verify the audit chain."""


@audit.command()
@click.option(
    "--config", type=click.Path(path_type=Path), required=True, help="The session daemon's settings."
)
@click.option(
    "--heads",
    "folders",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    help="Another folder of kept heads: banking's, or copies on other hosts. Any number of times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--password", type=click.Path(path_type=Path), help="File, instead of the one the settings name."
)
@click.option("--key", type=click.Path(path_type=Path), help="File, instead of the one the settings name.")
def verify(
    config: Path, folders: tuple[Path, ...], as_json: bool, password: Path | None, key: Path | None
) -> None:
    """Find edits, deletions, reorderings and a cut tail.

    Exits with 1 where there are any, with 2 where the chain cannot be read.
    """
    loaded = settings.load(settings.SessionSettings, config)
    if password is not None:
        database = loaded.database.model_copy(update={"password": password})
        loaded = loaded.model_copy(update={"database": database})
    if key is not None:
        loaded = loaded.model_copy(update={"audit_key": key})
    try:
        report = asyncio.run(_verify(loaded, folders))
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise AuditError(f"the audit's database cannot be asked: {reason}") from error
    except OSError as error:
        raise AuditError(f"audit: {error.filename}: cannot be read ({error.strerror})") from error
    click.echo(json.dumps(_as_dict(report), indent=2) if as_json else _as_text(report))
    sys.exit(0 if report.good else 1)


async def _verify(loaded: settings.SessionSettings, folders: tuple[Path, ...]) -> Report:
    key = chain.read_key(loaded.audit_key)

    def kept() -> Iterator[audit_heads.KeptHead]:
        for folder in dict.fromkeys((loaded.audit_heads, *folders)):
            yield from audit_heads.read(folder, key)

    parameters = postgres.parameters(loaded.database)
    async with await psycopg.AsyncConnection.connect(**parameters, autocommit=True) as connection:
        return await verify_chain(connection, key, kept())


def _as_dict(report: Report) -> dict[str, object]:
    return {
        "good": report.good,
        "entries": report.entries,
        "newest": report.newest,
        "newest_at": report.newest_at,
        "heads": report.heads,
        "newest_head": report.newest_head,
        "findings": [{"kind": f.kind, "position": f.position, "text": f.text} for f in report.findings],
        "untold": report.untold,
    }


def _as_text(report: Report) -> str:
    lines = [f"{report.entries} entries, the newest {report.newest or '-'} of {report.newest_at or '-'}"]
    lines.append(f"{report.heads} kept heads, the newest of entry {report.newest_head or '-'}")
    lines += [f"{finding.kind}: {finding.text}" for finding in report.findings[:_SHOWN_MAX]]
    more = len(report.findings) - _SHOWN_MAX + report.untold
    if more > 0:
        lines.append(f"and {more} more; --json tells them")
    lines += [f"  {kind}: {KINDS[kind]}" for kind in dict.fromkeys(f.kind for f in report.findings)]
    if report.good:
        lines.append("good: nothing was edited, deleted, reordered or cut off")
    return "\n".join(lines)
