"""Models of a bundle: checked files of the model store, and a manifest of exactly these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from tellerline.bundle.debs import place
from tellerline.engine import manifest
from tellerline.engine.store import ModelStore

Say = Callable[[str], None]


def lay_down(store: ModelStore, names: list[str], folder: Path, say: Say) -> manifest.Manifest:
    """Takes the models, copies their files into `folder` as a store has them, returns what is there."""
    for name in names:
        store.take(name, say)
        model = store.manifest.model(name)
        say(f"model {name} {model.version}: {sum(file.size for file in model.files) / 1e6:.0f} MB")
        for file in model.files:
            place(store.folder(name) / file.name, folder / name / model.version / file.name)
    chosen = {name: store.manifest.model(name) for name in names}
    return manifest.Manifest(format=1, models=chosen)


def written(models: manifest.Manifest) -> str:
    """The manifest as YAML, in the form of models/starter.yml."""
    content = models.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    content["format"] = models.format
    for model in content["models"].values():
        for file in model["files"]:
            file["parts"] = [f"{part['package']}:{part['path']}" for part in file["parts"]]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
