"""`tellerline eval intents`: how well the router understands a file of sentences."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from tellerline.cli.models import store_of
from tellerline.engine.router import loading, training
from tellerline.engine.router.head import Head
from tellerline.engine.router.measuring import Figures, figures
from tellerline.engine.store import ModelStore
from tellerline.language import intents as known
from tellerline.settings import RouterSettings


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--language", default="en", show_default=True, help="Of the sentences.")
@click.option(
    "--examples-only", is_flag=True, help="With a head trained on our own examples alone, here and now."
)
@click.option("--mistakes", is_flag=True, help="Shows the sentences that were misunderstood.")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
@click.option(
    "--manifest", "manifest_file", type=click.Path(path_type=Path), help="Default: models/starter.yml."
)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=Path("var/models"),
    show_default=True,
    help="Folder of the model store.",
)
def intents(
    file: Path,
    language: str,
    examples_only: bool,
    mistakes: bool,
    as_json: bool,
    manifest_file: Path | None,
    store: Path,
) -> None:
    """Routes the sentences of FILE, a CSV with the columns text and category.

    A category is one of our intents, or mapped to one by language/categories.yml, or out of scope.
    """
    rows = training.rows(file)
    routed = _routed(rows, language, examples_only, store_of(store, manifest_file))
    meant = [known.of_category(category) for _, category in rows]
    found = figures(zip(meant, routed, strict=True))
    wrong = [(text, m, r) for (text, _), m, r in zip(rows, meant, routed, strict=True) if m != r]
    if as_json:
        click.echo(json.dumps(_as_json(found, wrong if mistakes else None), ensure_ascii=False))
        return
    _print(found)
    for text, one, other in wrong if mistakes else ():
        click.echo(f"{one} → {other}: {text}")


def _routed(rows: list[training.Row], language: str, examples_only: bool, store: ModelStore) -> list[str]:
    models = RouterSettings().models
    if language not in models:
        raise click.BadParameter(f"{language!r}: there are: {', '.join(models)}", param_hint="--language")
    embedder = loading.load_embedder(models[language], store, threads=1)
    try:
        embed = training.embedding(embedder, language)
        head = _head(models[language], language, examples_only, embed)
        return [head.route(vector).intent for vector in embed(text for text, _ in rows)]
    finally:
        embedder.close()


def _head(model: str, language: str, examples_only: bool, embed: training.Embed) -> Head:
    if not examples_only:
        return loading.load_head(language, model)
    sentences = known.examples(language).sentences(training.FILLINGS)
    return training.learn(model, embed, sentences, threshold=training.THRESHOLDS[language])


def _as_json(found: Figures, wrong: list[tuple[str, str, str]] | None) -> dict[str, object]:
    told = asdict(found)
    told["confusion"] = [
        {"meant": one, "taken": other, "sentences": count}
        for (one, other), count in sorted(found.confusion.items())
    ]
    if wrong is not None:
        told["mistakes"] = [{"text": text, "meant": one, "taken": other} for text, one, other in wrong]
    return told


def _print(found: Figures) -> None:
    click.echo(f"sentences          {found.sentences}")
    click.echo(f"macro-F1           {found.macro_f1:.3f}   (in scope alone {found.macro_f1_in_scope:.3f})")
    click.echo(f"recall in scope    {found.recall_in_scope:.3f}")
    click.echo(f"false accepts      {found.false_accepts:.3f}   (out of scope, taken for an intent)")
    click.echo(f"mistaken           {found.mistaken:.3f}   (in scope, taken for another intent)")
    click.echo("\nmeant            taken for            sentences")
    for (one, other), count in sorted(found.confusion.items(), key=lambda item: (item[0][0], -item[1])):
        click.echo(f"{one:16} {other:20} {count:6}{'' if one == other else '   ✗'}")
    click.echo("\nintent             F1")
    for intent, value in found.f1.items():
        click.echo(f"{intent:18} {value:.3f}")
