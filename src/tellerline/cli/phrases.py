"""`tellerline phrases`: the fixed phrases as WAV files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click


@click.group()
def phrases() -> None:
    """The fixed phrases callers hear."""


@phrases.command()
@click.option(
    "--engine-socket", "--engine", type=click.Path(path_type=Path), required=True, help="Engine's socket."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for <key>.wav files.")
@click.option("--language", "code", default="en", show_default=True, help="Language of the phrases.")
@click.option("--voice", help="Name of the engine's voice: does nothing where --out says all, by this voice.")
def render(engine_socket: Path, out: Path, code: str, voice: str | None) -> None:
    """Render every phrase through the engine as 8 kHz mono WAV, its words in words.json."""
    from tellerline.pipeline import phrases as rendered

    if voice is not None and rendered.are_complete(out, code, voice):
        click.echo(f"{out}: good")
        return
    written = rendered.write(asyncio.run(rendered.render_at(engine_socket, code)), out, voice)
    click.echo(f"{out}: rendered {len(written)} phrases")
