"""The `tellerline` command: a table of its sub-commands, each imported only when used."""

from __future__ import annotations

import importlib
import sys

import click

from tellerline.errors import TellerlineError

# command → module:attribute. A daemon's import costs seconds; `tellerline --help` must not.
_COMMANDS = {
    "up": "tellerline.cli.up:up",
    "call": "tellerline.cli.call:call",
    "doctor": "tellerline.cli.doctor:doctor",
    "bench": "tellerline.cli.bench:bench",
    "models": "tellerline.cli.models:models",
    "phrases": "tellerline.cli.phrases:phrases",
    "engine": "tellerline.cli.daemons:engine",
    "pipeline": "tellerline.cli.daemons:pipeline",
    "connector": "tellerline.cli.daemons:connector",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_LazyGroup)
@click.version_option(package_name="tellerline")
def cli() -> None:
    """Tellerline: a bank's telephone teller in a box."""


def main() -> None:
    """Entry point. A TellerlineError prints as one line and exits with status 2."""
    try:
        cli()
    except TellerlineError as error:
        click.echo(f"tellerline: {error}", err=True)
        sys.exit(2)
