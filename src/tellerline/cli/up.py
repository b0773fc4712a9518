"""`tellerline up`: keeps the embedded stack running, alone or around one command."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import click

from tellerline import stack, stack_state


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--lanes", type=click.IntRange(1, 16), default=1, show_default=True, help="Four calls each.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address for SIP and RTP.")
@click.option("--sip-port", type=click.IntRange(1024, 65000), default=5070, show_default=True)
@click.option("--rtp-port", type=click.IntRange(1024, 64000), default=20000, show_default=True)
@click.option("--home", type=click.Path(path_type=Path), default=stack_state.HOME, help="The stack's folder.")
@click.option("--models", type=click.Path(path_type=Path), help="Model store; by default models/ in --home.")
@click.option("--bank/--no-bank", default=True, help="Session, banking and a sandbox bank behind the voice.")
@click.option("--log-dir", type=click.Path(path_type=Path), help="By default log/ in --home.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def up(
    lanes: int,
    host: str,
    sip_port: int,
    rtp_port: int,
    home: Path,
    models: Path | None,
    bank: bool,
    log_dir: Path | None,
    command: tuple[str, ...],
) -> None:
    """Starts one engine and the lanes, and keeps them running until Ctrl-C.

    With `-- COMMAND ...` it runs that command on the stack instead (on one that runs already, if one
    does), stops the stack, and exits with the command's status.
    """
    if command and stack_state.is_running(home):
        click.echo("using the stack that runs already")
        sys.exit(subprocess.run(command).returncode)
    # SIGTERM leaves through the context managers, as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    connector = {"sip": {"bind_host": host, "port": sip_port, "rtp_port_first": rtp_port}}
    embedded = stack.Stack(
        lanes,
        bank=bank,
        home=home,
        model_store=models,
        log_folder=log_dir,
        connector=connector,
        progress=_say,
    )
    # A command cut short did not succeed: 128 + SIGINT, as shells say it.
    status = 130 if command else 0
    with contextlib.suppress(KeyboardInterrupt), embedded as running:
        _say(f"up after {time.monotonic() - started:.1f} s; logs in {running.state.log_folder}")
        if command:
            status = subprocess.run(command).returncode
        else:
            for lane in running.state.lanes:
                click.echo(f"dial {lane.sip_uri} with any softphone that speaks PCMU or PCMA")
                for number, code in running.numbers.items():
                    click.echo(f"  or {stack_state.dialled(lane.sip_uri, number)} to be answered in {code!r}")
            click.echo('or: tellerline call --say "what can you do"    Ctrl-C stops')
            signal.pause()
    sys.exit(status)


def _say(line: str) -> None:
    click.echo(f"  stack: {line}", err=True)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
