"""`tellerline eval`: how well callers are understood, measured on files of sentences."""

from __future__ import annotations

import click

from tellerline.cli.main import LazyGroup

_MEASURES = {
    "intents": "tellerline.cli.eval_intents:intents",
    "nlupp": "tellerline.cli.eval_nlupp:nlupp",
}


@click.group("eval", cls=LazyGroup, table=_MEASURES)
def evaluate() -> None:
    """Measures understanding on a FILE of sentences."""
