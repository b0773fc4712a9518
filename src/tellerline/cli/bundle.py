"""`tellerline bundle build`: the folder from which servers without internet are installed."""

from __future__ import annotations

from pathlib import Path

import click

# src/tellerline/cli/bundle.py → the checkout.
_TOP = Path(__file__).resolve().parents[3]


@click.group()
def bundle() -> None:
    """The bundle: everything servers without internet are installed from."""


@bundle.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("var/bundle"), show_default=True,
              help="Folder that gets tellerline-VERSION/.")  # fmt: skip
@click.option("--work", type=click.Path(path_type=Path), default=Path("var/bundle-work"), show_default=True,
              help="Downloads and compiled wheels, for the next time.")  # fmt: skip
@click.option("--key", type=click.Path(path_type=Path), required=True, envvar="TELLERLINE_BUNDLE_KEY",
              help="minisign's secret key; the public one lies beside it, ending in .pub.")  # fmt: skip
@click.option("--store", type=click.Path(path_type=Path), default=Path("var/models"), show_default=True,
              help="Folder of the model store.")  # fmt: skip
@click.option("--model", "models", multiple=True, help="A model; default: all that are not optional.")
@click.option("--models-from", multiple=True, type=click.Path(exists=True, path_type=Path),
              help="Folder with MODEL/FILE for models of models/production.yml.")  # fmt: skip
@click.option("--models-url", help="Where their files are: https://…/{source}/…/{revision}/{file}.")
@click.option("--sources", multiple=True, type=click.Path(exists=True, path_type=Path),
              help="APT sources file; default: this machine's Debian.")  # fmt: skip
@click.option("--debs", "folders", multiple=True, type=click.Path(exists=True, path_type=Path),
              help="Folder of .deb files: OpenSIPS, a GPU driver.")  # fmt: skip
@click.option("--package", "packages", multiple=True, help="A Debian package that no role names.")
@click.option("--native", is_flag=True, help="For processors like this machine's only; quicker to build.")
def build(
    out: Path,
    work: Path,
    key: Path,
    store: Path,
    models: tuple[str, ...],
    models_from: tuple[Path, ...],
    models_url: str | None,
    sources: tuple[Path, ...],
    folders: tuple[Path, ...],
    packages: tuple[str, ...],
    native: bool,
) -> None:
    """Makes tellerline-VERSION/ and verifies it. Interrupted, it goes on where it was."""
    from tellerline.bundle import build as building
    from tellerline.bundle.models import Origins

    order = building.Order(
        top=_TOP,
        out=out,
        work=work,
        key=key,
        store=store,
        models=models,
        origins=Origins(models_from, models_url),
        sources=sources,
        folders=folders,
        packages=packages,
        native=native,
    )
    building.build(order, click.echo)
