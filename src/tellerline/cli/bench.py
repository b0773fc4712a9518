"""`tellerline bench`: the figures of docs/latency.md, measured here, with their budgets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tellerline import stack
from tellerline.robot import machine, terminal
from tellerline.robot.benchmarks import interrupting, latency, line, recognition
from tellerline.robot.benchmarks.bench import Bench, Result
from tellerline.robot.caller import REPEATS, Caller

_BENCHMARKS: dict[str, Callable[[Bench], Result]] = {
    "latency": latency.latency,
    "concurrency": latency.concurrency,
    "barge-in": interrupting.barge_in,
    "greeting": line.greeting,
    "media": line.media,
    "memory": line.memory,
    "recognition": recognition.recognition,
}


@click.command()
@click.argument("what", type=click.Choice([*_BENCHMARKS, "all"]))
@click.option("--json", "as_json", is_flag=True, help="Prints one JSON document and nothing else.")
@click.option("--home", type=click.Path(path_type=Path), default=stack.HOME, help="Where the stack lives.")
@click.option("--models", type=click.Path(path_type=Path), help="Model store; by default models/ in --home.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with digits-8k, orders-8k, noise-8k.")
@click.option("--turns", type=click.IntRange(1), help="Fewer turns (media: seconds) for a quick look.")
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

    Uses the stack that runs here, or starts one for the time of the benchmark.
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
    described = machine.describe()
    names = list(_BENCHMARKS) if what == "all" else [what]
    results = []
    for name in names:
        results.append(_BENCHMARKS[name](where))
        if not as_json:
            _print(results[-1])
    if as_json:
        documents = [_document(result, described) for result in results]
        together = {"passed": all(result.held for result in results), "benchmarks": documents}
        click.echo(json.dumps(documents[0] if what != "all" else together, ensure_ascii=False))
    else:
        _print_machine(described)
    sys.exit(0 if all(result.held for result in results) else 1)


def _document(result: Result, described: dict[str, Any]) -> dict[str, Any]:
    return {
        "bench": result.bench,
        "passed": result.held,
        **result.figures,
        "turns": result.turns,
        "budgets": [{**asdict(budget), "held": budget.held} for budget in result.budgets],
        "notes": result.notes,
        "use": [machine.use_as_dict(use) for use in result.uses],
        "machine": described,
    }


def _print(result: Result) -> None:
    click.echo(f"\n{result.bench}")
    for name, value in result.figures.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {inner}" for key, inner in value.items())
        click.echo(f"  {name:24}{value}")
    for note in result.notes:
        click.echo(f"  {note}")
    if result.uses:
        click.echo(f"  {'machine':24}{terminal.use_line(result.uses[-1])}")
    for budget in result.budgets:
        sign, verdict = (">=" if budget.at_least else "<="), ("held" if budget.held else "MISSED")
        click.echo(f"  {verdict:8}{budget.name}: {budget.value} {sign} {budget.limit:g}")


def _print_machine(described: dict[str, Any]) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in described["versions"].items())
    click.echo(f"\n{described['cpu']}, {described['cores']} cores, {described['memory_mb']} MB")
    click.echo(f"Linux {described['kernel']}, Python {described['python']}, revision {described['revision']}")
    click.echo(versions)
