"""A bundle's models: their files, and a manifest that a site can check them by."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from tellerline.bundle import models
from tellerline.engine import manifest
from tellerline.engine.store import ModelStore
from tellerline.errors import BundleError, ModelError

STARTER = """
format: 1
models:
  voice:
    job: synthesis
    engine: piper
    version: "1.0"
    licence: CC0-1.0
    packages: [{name: a-voice, version: "1.0", wheel_sha256: %(sha)s}]
    files: [{name: voice.onnx, size: 5, sha256: %(sha)s, parts: ["a-voice:data/voice.onnx"]}]
"""
PRODUCTION = """
format: 1
models:
  large:
    job: recognition
    engine: whisper
    licence: MIT
    known_answer: {prompt: Hello, answer: Hello}
    source: someone/large
    revision: 0a1b2c
    files: [model.bin, config/config.json]
    settings: {device: cuda}
  floating:
    job: recognition
    engine: whisper
    licence: MIT
    source: someone/floating
    revision:
    files: [model.bin]
"""
VOICE = b"voice"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A store with its one model, what models may come from elsewhere, and files of one of these."""
    sha = hashlib.sha256(VOICE).hexdigest()
    (tmp_path / "starter.yml").write_text(STARTER % {"sha": sha})
    (tmp_path / "production.yml").write_text(PRODUCTION)
    for name, content in (
        ("store/voice/1.0/voice.onnx", VOICE),
        ("got/large/model.bin", b"weights"),
        ("got/large/config/config.json", b"{}"),
        ("got/large/README.md", b"not asked for"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def _laid_down(site: Path, *names: str, origins: models.Origins | None = None) -> manifest.Manifest:
    store = ModelStore(site / "store", manifest.load(site / "starter.yml"))
    origins = origins or models.Origins((site / "got",))
    bundle = site / "bundle"
    return models.lay_down(
        store, site / "production.yml", names, bundle, site / "work", origins, lambda line: None
    )


def test_the_manifest_of_a_bundle_fits_its_files(site: Path) -> None:
    made = _laid_down(site, "voice", "large")
    (site / "manifest.yml").write_text(models.written(made))
    read = manifest.load(site / "manifest.yml")
    assert read == made
    store = ModelStore(site / "bundle", read)
    assert store.faults("voice") == [] and store.faults("large") == []
    assert not (site / "bundle/large/0a1b2c/README.md").exists()


def test_every_starter_model_is_in_a_bundle_unless_others_are_named(site: Path) -> None:
    assert list(_laid_down(site).models) == ["voice"]
    assert list(_laid_down(site, "large").models) == ["large"]


def test_a_model_of_a_bundle_is_not_looked_for_in_packages(site: Path) -> None:
    store = ModelStore(site / "empty", _laid_down(site, "large"))
    with pytest.raises(ModelError, match=r"comes in a bundle.*model\.bin: is missing"):
        store.take("large", lambda line: None)


@pytest.mark.parametrize(
    ("names", "origins", "said"),
    [
        (("nobody",), None, "no model nobody; there are: floating, large, voice"),
        (("floating",), None, "no revision"),
        (("large",), models.Origins(), "--models-from"),
    ],
)
def test_what_cannot_be_pinned_is_refused(
    site: Path, names: tuple[str, ...], origins: models.Origins | None, said: str
) -> None:
    with pytest.raises(BundleError, match=said):
        _laid_down(site, *names, origins=origins)


def test_a_file_that_was_not_got_is_named(site: Path) -> None:
    (site / "got/large/model.bin").unlink()
    with pytest.raises(BundleError, match=r"no model\.bin in"):
        _laid_down(site, "large")


def test_production_models_are_what_a_manifest_can_say() -> None:
    listed = Path(__file__).resolve().parents[3] / "models" / "production.yml"
    for name, entry in yaml.safe_load(listed.read_text())["models"].items():
        kept = {
            key: value
            for key, value in entry.items()
            if key not in ("source", "revision", "files", "settings")
        }
        file = {"name": "model.bin", "size": 1, "sha256": "0" * 64}
        model = manifest.Model.model_validate({**kept, "version": "1", "files": [file]})
        assert model.known_answer is not None, f"{name}: the engine serves no model it has not tried"
