"""`tellerline status`: lanes, calls, engines, GPUs, breakers and last errors of this host on one screen."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from tellerline import host
from tellerline.host import LaneAnswer, State, Unit

_ERRORS = 5
_JOURNAL = Path("/var/log/journal")
_GPU_FIELDS = ("index", "name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu")
_BREAKERS = {"pipeline": "tellerline_pipeline_provider_breaker", "banking": "tellerline_banking_breaker"}


@dataclass(frozen=True)
class Shown:
    """All that is shown; `faults` are what somebody has to look at."""

    units: list[dict[str, Any]] = field(default_factory=list)
    lanes: list[dict[str, Any]] = field(default_factory=list)
    engines: list[dict[str, Any]] = field(default_factory=list)
    gpus: list[dict[str, str]] = field(default_factory=list)
    breakers: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@click.command()
@click.option("--config-folder", type=click.Path(path_type=Path), default=host.FOLDER, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def status(config_folder: Path, as_json: bool) -> None:
    """Shows how this host is; exit status 1 when something on it is not as it should be."""
    shown = look(config_folder)
    if as_json:
        click.echo(json.dumps(shown.__dict__, indent=2))
    else:
        for line in lines(shown):
            click.echo(line)
    sys.exit(1 if shown.faults else 0)


def look(folder: Path = host.FOLDER) -> Shown:
    """Asks systemd, the lanes, the engines, the GPUs and the journal.

    Raises HostError where nothing is set up.
    """
    units = host.units(folder)
    states = host.states(units)
    answers = asyncio.run(host.ask_lanes(tuple(unit for unit in units if unit.daemon == "connector")))
    shown = Shown(gpus=_gpus(), errors=_errors([unit.name for unit in units]))
    for unit in units:
        _add_unit(shown, unit, states[unit.name])
        if unit.daemon == "connector":
            _add_lane(shown, unit.instance, answers[unit.instance])
        else:
            _add_figures(shown, unit)
    for name, state in host.companions().items():
        _add_state(shown, name, state)
    return shown


def _add_unit(shown: Shown, unit: Unit, state: State) -> None:
    _add_state(shown, unit.name, state)
    if unit.fault and "Permission denied" not in unit.fault:
        shown.faults.append(unit.fault)


def _add_state(shown: Shown, name: str, state: State) -> None:
    shown.units.append(
        {
            "unit": name,
            "state": state.active,
            "restarts": state.restarts,
            "says": state.status,
        }
    )
    if state.active not in ("active", "unknown"):
        why = f" ({state.result})" if state.result not in ("", "success") else ""
        shown.faults.append(f"{name} is {state.active}{why}: journalctl -u {name}")


def _add_lane(shown: Shown, lane: str, answer: LaneAnswer) -> None:
    reply = answer.reply
    state = "away" if answer.trouble else reply.state
    shown.lanes.append(
        {
            "lane": lane,
            "state": state,
            "reason": answer.trouble or reply.reason,
            "calls": len(reply.calls),
            "lane_calls": reply.lane_calls,
            "attached": sum(call.attached for call in reply.calls),
            "sip_uri": reply.sip_uri,
        }
    )
    if state not in ("ready", "draining"):
        shown.faults.append(f"lane {lane}: {answer.trouble or reply.reason}")


def _add_figures(shown: Shown, unit: Unit) -> None:
    found = host.figures(unit)
    if unit.daemon == "engine":
        calls, free = (
            found.get((name, ())) for name in ("tellerline_engine_calls", "tellerline_engine_free_slots")
        )
        shown.engines.append(
            {
                "engine": unit.instance,
                "calls": None if calls is None else int(calls),
                "free": None if free is None else int(free),
            }
        )
    # Every process has every metric; those of another daemon stand where they began.
    breaker = _BREAKERS.get(unit.daemon)
    for of, state in host.enumerated(found, breaker) if breaker is not None else ():
        daemon = f"{unit.daemon}@{unit.instance}" if unit.instance else unit.daemon
        shown.breakers.append({"daemon": daemon, "of": of or "the bank", "state": state})
        if state == "open":
            shown.faults.append(f"{daemon}: the breaker of {of or 'the bank'} is open")
    if unit.daemon == "banking" and found.get(("tellerline_banking_closed", ())) == 1.0:
        shown.faults.append("banking: money and new authentications are closed (no database)")


def _gpus() -> list[dict[str, str]]:
    command = ("nvidia-smi", f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if answer.returncode != 0:
        return []
    rows = ([cell.strip() for cell in line.split(",")] for line in answer.stdout.splitlines())
    return [dict(zip(_GPU_FIELDS, row, strict=True)) for row in rows if len(row) == len(_GPU_FIELDS)]


def _errors(names: Sequence[str]) -> list[str]:
    """The last errors of these units in the journal, oldest first."""
    chosen = [argument for name in (*names, "tellerline-alarm@*") for argument in ("--unit", name)]
    command = ("journalctl", "--quiet", "--no-pager", "--priority=err", f"--lines={_ERRORS}")
    try:
        answer = subprocess.run(
            (*command, "--output=short-iso", *chosen), capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    # Whoever may not read it is told of no errors either, by an empty answer.
    return answer.stdout.splitlines() or _unread(_JOURNAL)


def _unread(journal: Path) -> list[str]:
    """Why there are no errors to be seen, where that is only because they may not be seen."""
    files = list(journal.glob("*/system.journal")) if journal.is_dir() else []
    if not files or any(os.access(file, os.R_OK) for file in files):
        return []
    return ["the journal may not be read: be root, or a member of the group systemd-journal"]


def lines(shown: Shown) -> Iterator[str]:
    """What a terminal shows."""
    if shown.lanes:
        yield f"{'LANE':<8} {'STATE':<10} {'CALLS':<7} REASON"
        for lane in shown.lanes:
            calls = f"{lane['calls']}/{lane['lane_calls']}"
            apart = lane["calls"] - lane["attached"]
            note = f"{apart} without a pipeline" if apart else ""
            yield f"{lane['lane']:<8} {lane['state']:<10} {calls:<7} {lane['reason'] or note}".rstrip()
        yield ""
    if shown.engines:
        yield f"{'ENGINE':<8} {'CALLS':<7} FREE"
        for engine in shown.engines:
            calls, free = ("-" if engine[key] is None else engine[key] for key in ("calls", "free"))
            yield f"{engine['engine']:<8} {calls:<7} {free}"
        yield ""
    for gpu in shown.gpus:
        yield (
            f"GPU {gpu['index']}: {gpu['name']}, {gpu['utilization.gpu']} busy, "
            f"{gpu['memory.used']} of {gpu['memory.total']}, {gpu['temperature.gpu']} °C"
        )
    yield f"{'UNIT':<40} {'STATE':<10} {'RESTARTS':>8}  SAYS"
    for unit in shown.units:
        yield f"{unit['unit']:<40} {unit['state']:<10} {unit['restarts']:>8}  {unit['says']}".rstrip()
    for breaker in shown.breakers:
        # The engine's own never opens: it has no other to give way to.
        if breaker["state"] == "closed" and breaker["of"].endswith("by local"):
            continue
        yield f"breaker of {breaker['of']} in {breaker['daemon']}: {breaker['state']}"
    if shown.errors:
        yield ""
        yield "LAST ERRORS"
        yield from (f"  {line}" for line in shown.errors)
    yield ""
    if shown.faults:
        yield "LOOK AT"
        yield from (f"  {fault}" for fault in shown.faults)
    else:
        yield "all well"
