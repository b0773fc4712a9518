"""Settings out of a YAML file, and back: the only reader of configuration files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from tellerline.errors import SettingsError
from tellerline.settings.concern import Concern

_Settings = TypeVar("_Settings", bound=Concern)


def load(kind: type[_Settings], path: Path) -> _Settings:
    """Reads `path` as `kind`.

    Raises SettingsError naming the file, key, value and what would be right.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}); give an existing YAML file"
        ) from error
    try:
        data: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is not YAML: {error}") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise SettingsError(f"{path}: must be a mapping of settings, is a {type(data).__name__}")
    try:
        return kind.model_validate(data)
    except pydantic.ValidationError as error:
        raise SettingsError("\n".join(_explain(path, kind, e) for e in error.errors())) from error


def dump(settings: Concern) -> str:
    """The YAML text `load` reads back as the same settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def _explain(path: Path, kind: type[Concern], error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        parent: Any = kind
        for part in error["loc"][:-1]:
            field = parent.model_fields.get(part)
            parent = field.annotation if field else parent
        known = ", ".join(sorted(getattr(parent, "model_fields", {})))
        return f"{path}: {key}: no such setting; there are: {known}"
    return f"{path}: {key}: {error['input']!r} is wrong: {error['msg']}"
