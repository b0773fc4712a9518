"""`tellerline call`: the robot dials in, and the terminal shows the conversation."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from tellerline import stack, stack_state
from tellerline.errors import ScenarioError, StackError
from tellerline.robot import conversation, machine, recording, terminal
from tellerline.robot import scenario as scenarios
from tellerline.robot.caller import REPEATS, Caller, Listener, Run, Target, processes

_SCENARIOS = Path(__file__).resolve().parents[1] / "robot" / "scenarios"


@click.command()
@click.argument("scenario", required=False)
@click.option("--say", help="Asks one question instead of playing a scenario.")
@click.option("--to", help="SIP URI to dial; default: the stack that runs here.")
@click.option(
    "--watch-socket",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Pipeline socket to watch the conversation on, with --to.",
)
@click.option("--home", type=click.Path(path_type=Path), default=stack_state.HOME, help="The stack's folder.")
@click.option("--models", type=click.Path(path_type=Path), help="Model store; by default models/ in --home.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for call.wav and call.json.")
@click.option("--rtp-port", type=click.IntRange(0, 65000), default=0, help="First RTP port; 0: any.")
@click.option("--hear/--no-hear", default=True, help="Recognise the answers after the call.")
@click.option("--json", "as_json", is_flag=True, help="Prints one JSON document and nothing else.")
def call(
    scenario: str | None,
    say: str | None,
    to: str | None,
    watch_socket: tuple[Path, ...],
    home: Path,
    models: Path | None,
    out: Path | None,
    rtp_port: int,
    hear: bool,
    as_json: bool,
) -> None:
    """Dials the stack (or anything that speaks SIP) with a spoken SCENARIO: a file, or bank_call.

    Exit status: 0 the scenario held, 1 it did not, 2 it could not be tried.
    """
    path, chosen = _scenario(scenario, say)
    target = _target(to, watch_socket, home, chosen.number)
    out = out or home / "calls" / time.strftime("%Y%m%d-%H%M%S")
    console = Console(stderr=as_json, quiet=as_json, highlight=False)
    caller = Caller(models or home / "models", stack.MANIFEST)
    console.print(f"[bold]{chosen.name}[/bold] → {target.uri}")
    with console.status("rendering the caller's lines"):
        plan = caller.plan(chosen, target.uri, path)
    live = terminal.Live(console)
    for attempt in range(1 + REPEATS):
        run = asyncio.run(
            caller.run(
                [(chosen, plan)], target, Listener(live.event, live.watched), hear=hear, rtp_port=rtp_port
            )
        )
        if run.conversations[0].passed or not run.use.disturbed or attempt == REPEATS:
            break
        console.print(f"[yellow]disturbed: {run.use.disturbed}; calling again[/yellow]")
    _report(run, console, out, as_json)
    sys.exit(0 if run.conversations[0].passed else 1)


def _scenario(name: str | None, say: str | None) -> tuple[Path, scenarios.Scenario]:
    """The folder of the scenario's files, and the scenario."""
    if say is not None:
        if name is not None:
            raise click.UsageError("give a SCENARIO or --say, not both")
        turns = (scenarios.Turn(), scenarios.Turn(say=say))
        return Path.cwd(), scenarios.Scenario(name="One question", turns=turns)
    path = Path(name or "bank_call")
    if not path.exists() and (_SCENARIOS / f"{path.name}.yml").exists():
        path = _SCENARIOS / f"{path.name}.yml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in _SCENARIOS.glob("*.yml")))
        raise ScenarioError(f"{path}: no such scenario; give a file, or one of: {known}")
    return path.parent, scenarios.load(path)


def _target(to: str | None, watch_sockets: tuple[Path, ...], home: Path, number: str | None) -> Target:
    if to is not None:
        return Target(to, watch_sockets)
    state = stack_state.read_state(home)
    if not state.lanes:
        raise StackError("the stack that runs here has no lane to dial; start one with `tellerline up`")
    sockets = (state.lanes[0].pipeline_socket,)
    uri = state.lanes[0].sip_uri
    return Target(stack_state.dialled(uri, number) if number else uri, sockets, processes(state))


def _report(run: Run, console: Console, out: Path, as_json: bool) -> None:
    talked = run.conversations[0]
    document = {
        **conversation.as_dict(talked),
        "machine": machine.describe(),
        "use": machine.use_as_dict(run.use),
        "watched": run.watched,
    }
    recording.save(out, talked.trace, talked.audio, document)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    terminal.summary(console, talked, run.use, run.watched)
    for refusal in run.refusals:
        console.print(f"[dim]not watched: {refusal}[/dim]")
    p50, p95 = document["p50_ms"], document["p95_ms"]
    if p50 is not None:
        console.print(f"voice to voice p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    verdict = (
        "[bold green]the scenario held[/bold green]"
        if talked.passed
        else "[bold red]it did not hold[/bold red]"
    )
    console.print(f"{verdict}   {out / 'call.wav'}  {out / 'call.json'}")
