"""Models of a bundle: checked files as the model store has them, and a manifest of exactly these."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
import yaml

from tellerline.bundle import checksums
from tellerline.bundle.debs import place
from tellerline.bundle.download import fetch
from tellerline.engine.manifest import Manifest, Model
from tellerline.engine.store import ModelStore
from tellerline.errors import BundleError

Say = Callable[[str], None]

# Of an entry of models/production.yml, what says where files come from and is no part of a manifest.
_ORIGIN = ("source", "revision", "files", "settings")


@dataclass(frozen=True)
class Origins:
    """Where the files of models/production.yml come from; a site names both or neither."""

    # Folders laid out <model>/<file>, which somebody has got by whatever way is allowed.
    folders: tuple[Path, ...] = ()
    # "https://mirror.example/{source}/resolve/{revision}/{file}"
    url: str | None = None


def lay_down(
    store: ModelStore,
    production: Path,
    names: tuple[str, ...],
    folder: Path,
    work: Path,
    origins: Origins,
    say: Say,
) -> Manifest:
    """Gets the models into `folder`, laid out as a store, and returns the manifest of what is there.

    Names of the store's own manifest (the starter models, whose checksums are known before) or of
    models/production.yml, whose files are taken as they are at their revision: from here on the checksum is
    the bundle's word. No name: every starter model that is not optional.
    """
    entries = yaml.safe_load(production.read_text(encoding="utf-8"))["models"]
    known = [name for name in names if name in store.manifest.models]
    unknown = [name for name in names if name not in store.manifest.models and name not in entries]
    if unknown:
        listed = ", ".join(sorted({*store.manifest.models, *entries}))
        raise BundleError(f"bundle: no model {', '.join(unknown)}; there are: {listed}")
    chosen = {name: store.manifest.model(name) for name in known or (() if names else store.names())}
    for name, model in chosen.items():
        store.take(name, say)
        for file in model.files:
            place(store.folder(name) / file.name, folder / name / model.version / file.name)
    for name in names:
        if name not in chosen:
            chosen[name] = _taken(name, entries[name], folder, work / "models" / name, origins, say)
    for name, model in chosen.items():
        say(f"model {name} {model.version}: {sum(file.size for file in model.files) / 1e6:.0f} MB")
    return Manifest(format=1, models=chosen)


def _taken(name: str, entry: dict[str, Any], folder: Path, work: Path, origins: Origins, say: Say) -> Model:
    revision = entry.get("revision")
    if not revision:
        raise BundleError(
            f"bundle: model {name} has no revision in models/production.yml; fix one, never a branch"
        )
    version = re.sub(r"[^\w.-]", "-", str(revision))
    found = dict(_files(name, entry, work / version, origins, say))
    files = []
    for file, path in sorted(found.items()):
        target = folder / name / version / file
        place(path, target)
        files.append({"name": file, "size": target.stat().st_size, "sha256": checksums.sha256(target)})
    kept = {key: value for key, value in entry.items() if key not in _ORIGIN}
    try:
        return Model.model_validate({**kept, "version": version, "files": files})
    except pydantic.ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BundleError(f"bundle: model {name}: {wrong}") from error


def _files(
    name: str, entry: dict[str, Any], work: Path, origins: Origins, say: Say
) -> Iterator[tuple[str, Path]]:
    wanted: list[str] = entry.get("files") or []
    for folder in (origin / name for origin in origins.folders):
        if folder.is_dir():
            there = {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}
            if lacking := [file for file in wanted if file not in there]:
                raise BundleError(f"bundle: model {name}: no {', '.join(lacking)} in {folder}")
            # An entry that names no files is an archive: all that was in it.
            yield from ((file, there[file]) for file in wanted or there)
            return
    if origins.url is None or not wanted:
        raise BundleError(
            f"bundle: model {name}: give a folder that has {name}/ (--models-from)"
            + (", or where to get its files (--models-url)" if wanted else ": its files come as an archive")
        )
    for file in wanted:
        url = origins.url.format(source=entry["source"], revision=entry["revision"], file=file)
        fetch(url, work / file, say)
        yield file, work / file


def written(models: Manifest) -> str:
    """The manifest as YAML, in the form of models/starter.yml."""
    content = models.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    content["format"] = models.format
    for model in content["models"].values():
        for file in model["files"]:
            if "parts" in file:
                file["parts"] = [f"{part['package']}:{part['path']}" for part in file["parts"]]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
