"""`tellerline drain` and `undrain`: takes lanes out of service and back, without cutting a call."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from tellerline import host
from tellerline.errors import HostError
from tellerline.host import Unit
from tellerline.rpc import control_pb2 as pb

_POLL_SECONDS = 1.0
_LANES = click.argument("lanes", nargs=-1, metavar="[LANE]...")
_ALL = click.option("--all", "every", is_flag=True, help="Every lane of this host.")
_FOLDER = click.option(
    "--config-folder", type=click.Path(path_type=Path), default=host.FOLDER, show_default=True
)


@click.command()
@_LANES
@_ALL
@_FOLDER
@click.option(
    "--timeout",
    "seconds",
    type=click.IntRange(min=1),
    help="How long calls have before they are ended with a goodbye; by default as in the lane's settings.",
)
@click.option("--wait", is_flag=True, help="Return when the last call has ended.")
def drain(lanes: tuple[str, ...], every: bool, config_folder: Path, seconds: int | None, wait: bool) -> None:
    """Refuses new calls on lanes (0-1, cpu-0); running ones go on. It lasts until `undrain` or a restart."""
    chosen = _chosen(lanes, every, config_folder)
    replies = _told(chosen, "Drain", pb.DrainRequest(timeout_seconds=seconds or 0))
    for lane, reply in replies.items():
        click.echo(f"{lane}: draining, {reply.live_calls} calls")
    if wait:
        asyncio.run(_until_empty(chosen))


@click.command()
@_LANES
@_ALL
@_FOLDER
def undrain(lanes: tuple[str, ...], every: bool, config_folder: Path) -> None:
    """Has drained lanes take calls again."""
    for lane in _told(_chosen(lanes, every, config_folder), "Undrain", pb.UndrainRequest()):
        click.echo(f"{lane}: takes calls")


def _chosen(names: tuple[str, ...], every: bool, folder: Path) -> tuple[Unit, ...]:
    if bool(names) == every:
        raise click.UsageError("name lanes, as 0-1, or give --all")
    there = {unit.instance: unit for unit in host.lanes(folder)}
    strangers = [name for name in names if name not in there]
    if strangers:
        raise HostError(f"this host has no lane {', '.join(strangers)}; it has {', '.join(there)}")
    return tuple(there.values()) if every else tuple(there[name] for name in dict.fromkeys(names))


def _told(chosen: tuple[Unit, ...], what: str, request: object) -> dict[str, pb.DrainReply]:
    replies = asyncio.run(host.tell_lanes(chosen, what, request))
    silent = [f"lane {lane} {reply}" for lane, reply in replies.items() if isinstance(reply, str)]
    if silent:
        told = [lane for lane, reply in replies.items() if not isinstance(reply, str)]
        raise HostError("; ".join(silent) + (f" (told: {', '.join(told)})" if told else ""))
    return replies


async def _until_empty(chosen: tuple[Unit, ...]) -> None:
    begun, said = time.monotonic(), -1
    while True:
        answers = await host.ask_lanes(chosen)
        # A lane that has gone meanwhile has no calls.
        live = sum(len(answer.reply.calls) for answer in answers.values())
        if live != said:
            said = live
            click.echo(f"{live} calls after {time.monotonic() - begun:.0f} s")
        if not live:
            return
        await asyncio.sleep(_POLL_SECONDS)
