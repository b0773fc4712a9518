"""The `tellerline` command: a table of its sub-commands, each imported only when used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

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
    "providers": "tellerline.cli.providers:providers",
    "engine": "tellerline.cli.daemons:engine",
    "pipeline": "tellerline.cli.daemons:pipeline",
    "connector": "tellerline.cli.daemons:connector",
    "session": "tellerline.cli.session:session",
    "banking": "tellerline.cli.banking:banking",
    "status": "tellerline.cli.status:status",
    "drain": "tellerline.cli.drain:drain",
    "undrain": "tellerline.cli.drain:undrain",
    "certificates": "tellerline.cli.certificates:certificates",
    "unlock": "tellerline.cli.unlock:unlock",
    "sandbox-bank": "tellerline.cli.sandbox_bank:sandbox_bank",
    "migrate": "tellerline.cli.migrate:migrate",
    "calls": "tellerline.cli.call_records:calls",
    "audit": "tellerline.cli.audit:audit",
    "erase": "tellerline.cli.erase:erase",
    "retention": "tellerline.cli.retention:retention",
    "recordings": "tellerline.cli.recordings:recordings",
    "bundle": "tellerline.cli.bundle:bundle",
    "eval": "tellerline.cli.eval:evaluate",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when used, from a table of name → module:attribute."""

    def __init__(self, *args: Any, table: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the table, in its order."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command `cmd_name`."""
        if cmd_name not in self._table:
            return None
        module, attribute = self._table[cmd_name].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, table=_COMMANDS)
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
