"""`tellerline bench`: the figures of docs/latency.md, measured here, with their budgets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import grpc

from tellerline import stack, stack_state
from tellerline.errors import TellerlineError
from tellerline.robot import machine
from tellerline.robot.benchmarks import (
    crash,
    interrupting,
    latency,
    line,
    outage,
    recognition,
    report,
    session,
    tasks,
)
from tellerline.robot.benchmarks.bench import Bench, Result
from tellerline.robot.caller import REPEATS, Caller

_BENCHMARKS: dict[str, Callable[[Bench], Result]] = {
    "latency": latency.latency,
    "concurrency": latency.concurrency,
    "barge-in": interrupting.barge_in,
    "crash": crash.crash,
    "greeting": line.greeting,
    "media": line.media,
    "memory": line.memory,
    "outage": outage.outage,
    "recognition": recognition.recognition,
    "session": session.session,
    "tasks": tasks.tasks,
}


@click.command()
@click.argument("what", type=click.Choice([*_BENCHMARKS, "all"]))
@click.option("--json", "as_json", is_flag=True, help="Prints one JSON document and nothing else.")
@click.option("--home", type=click.Path(path_type=Path), default=stack_state.HOME, help="The stack's folder.")
@click.option("--models", type=click.Path(path_type=Path), help="Model store; by default models/ in --home.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with digits-8k, orders-8k, noise-8k.")
@click.option(
    "--turns", type=click.IntRange(1), help="Fewer turns for a quick look (media, outage: seconds)."
)
@click.option(
    "--repeats", type=click.IntRange(0, 10), default=REPEATS, help="Of runs disturbed from outside."
)
def bench(
    what: str,
    as_json: bool,
    home: Path,
    models: Path | None,
    data: Path | None,
    turns: int | None,
    repeats: int,
) -> None:
    """Measures WHAT on this machine and holds the budgets: exit status 1 when one is missed.

    Uses the stack that runs here, or starts one for the time of the benchmark (crash, outage and tasks
    always do).
    """
    store = models or home / "models"
    where = Bench(
        home=home,
        models=store,
        caller=Caller(store, stack.MANIFEST),
        data=data,
        progress=lambda text: click.echo(f"  {text}", err=True),
        turns=turns,
        repeats=repeats,
    )
    if what == "all":
        results = [_measured_or_not(name, where) for name in _BENCHMARKS]
    else:
        results = [_BENCHMARKS[what](where)]
    held = all(result.held for result in results)
    described = machine.describe()
    if as_json:
        documents = [_document(result, described) for result in results]
        together = {"passed": held, "benchmarks": documents}
        click.echo(json.dumps(documents[0] if what != "all" else together, ensure_ascii=False))
    else:
        click.echo("\n".join(("", *report.table(results), "", *report.machine(described))))
    for left_out in report.skipped(results):
        click.secho(f"NOT MEASURED {left_out}", fg="yellow", bold=True, err=True)
    sys.exit(0 if held else 1)


def _measured_or_not(name: str, where: Bench) -> Result:
    """What one benchmark of several found; one that cannot be measured does not take the others with it."""
    try:
        return _BENCHMARKS[name](where)
    except (TellerlineError, grpc.RpcError) as error:
        click.secho(f"  {name}: {error}", fg="red", err=True)
        return Result(name, error=str(error))


def _document(result: Result, described: dict[str, Any]) -> dict[str, Any]:
    return {
        "bench": result.bench,
        "passed": result.held,
        **result.figures,
        "turns": result.turns,
        "budgets": [{**asdict(budget), "held": budget.held} for budget in result.budgets],
        "notes": result.notes,
        "skipped": result.skipped,
        "error": result.error,
        "use": [
            {"run": take.name, "used": take.used, **machine.use_as_dict(take.use)} for take in result.takes
        ],
        "machine": described,
    }
