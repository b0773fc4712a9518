"""The models of one engine process, loaded once from checked files."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tellerline.engine.asr.port import Recognizer
from tellerline.engine.llm.port import LanguageModel
from tellerline.engine.manifest import Manifest, load
from tellerline.engine.router.loading import load_router
from tellerline.engine.router.router import IntentRouter
from tellerline.engine.store import ModelStore
from tellerline.engine.tts.espeak import EspeakSynthesizer
from tellerline.engine.tts.port import Synthesizer
from tellerline.errors import ModelError
from tellerline.monitoring import notify
from tellerline.settings import EngineSettings

log = logging.getLogger(__name__)

_Loaded = TypeVar("_Loaded")
# What checking and loading one model may take: 20 GB from a slow disk, and onto a GPU.
LOAD_SECONDS = 300.0


@dataclass
class Models:
    """What is loaded. Recognisers by engine or model, voices by name; "" is the site's default."""

    recognizers: dict[str, Recognizer]
    # Language → key of `recognizers`, for those the default does not hear.
    recognizers_by_language: dict[str, str]
    language_model: LanguageModel
    language_model_name: str
    voices: dict[str, Synthesizer]
    # Language → voice, for those the default does not speak.
    voices_by_language: dict[str, Synthesizer]
    # Model names by recogniser, for the self-test's known answers.
    recognizer_models: dict[str, str]
    router: IntentRouter
    # Model names by language, likewise.
    router_models: dict[str, str]
    manifest: Manifest
    manifest_folder: Path

    async def pulse(self) -> None:
        """Returns once every model's worker has come round to it. Raises what a broken one raises."""
        parts: tuple[Recognizer | Synthesizer, ...] = (
            *self.recognizers.values(),
            *self.voices.values(),
            *self.voices_by_language.values(),
        )
        once = {id(part): part for part in parts}.values()
        await asyncio.gather(
            self.language_model.pulse(), self.router.pulse(), *(part.pulse() for part in once)
        )

    def close(self) -> None:
        """Frees every model."""
        for recognizer in {id(one): one for one in self.recognizers.values()}.values():
            recognizer.close()
        voices = (*self.voices.values(), *self.voices_by_language.values())
        for voice in {id(one): one for one in voices}.values():
            voice.close()
        self.router.close()
        self.language_model.close()


def load_models(settings: EngineSettings) -> Models:
    """Checks and loads every configured model. Raises ModelError; there is no engine with half its models."""
    manifest = load(settings.manifest)
    store = ModelStore(settings.model_store, manifest)
    recognizers, names = _recognizers(settings, store)
    voice = settings.synthesis.voice
    synthesizer = _timed(voice, lambda: _voice(settings, store))
    model = settings.language_model.model
    models = Models(
        recognizers=recognizers,
        recognizers_by_language=dict(settings.recognition.by_language),
        language_model=_timed(model, lambda: _language_model(settings, store)),
        language_model_name=model,
        voices={"": synthesizer, voice: synthesizer},
        voices_by_language={
            language: EspeakSynthesizer(name) for language, name in settings.synthesis.espeak.items()
        },
        recognizer_models=names,
        router=_timed("the intent router", lambda: load_router(settings.router, store)),
        router_models=settings.router.models,
        manifest=manifest,
        manifest_folder=settings.manifest.parent,
    )
    _trim()
    return models


def _trim() -> None:
    """Gives back what loading freed: 50 MB of onnxruntime's graph work stay in glibc's heap otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _recognizers(settings: EngineSettings, store: ModelStore) -> tuple[dict[str, Recognizer], dict[str, str]]:
    wanted = settings.recognition
    names = {"whisper": wanted.whisper_model, "vosk": wanted.vosk_model}
    chosen = {engine: name for engine, name in names.items() if name is not None}
    if wanted.default not in chosen:
        raise ModelError(
            f"recognition: default is {wanted.default}, but recognition.{wanted.default}_model is not set; "
            "name a model of the manifest"
        )
    loaded = {
        engine: _timed(name, functools.partial(_recognizer, engine, name, settings, store))
        for engine, name in chosen.items()
    }
    for name in sorted(set(wanted.by_language.values())):
        loaded[name] = _timed(name, functools.partial(_recognizer, "whisper", name, settings, store))
        chosen[name] = name
    return {"": loaded[wanted.default], **loaded}, chosen


def _recognizer(engine: str, name: str, settings: EngineSettings, store: ModelStore) -> Recognizer:
    model = store.manifest.model(name)
    if model.engine != engine:
        raise ModelError(f"recognition: {name} is a model for {model.engine}, not for {engine}")
    # Imported when used: each brings its own native libraries.
    if engine == "vosk":
        from tellerline.engine.asr.vosk import VoskRecognizer

        return VoskRecognizer(store.path(name), settings.recognition, model.languages)
    from tellerline.engine.asr.whisper import WhisperRecognizer

    return WhisperRecognizer(store.path(name), settings.recognition)


def _voice(settings: EngineSettings, store: ModelStore) -> Synthesizer:
    from tellerline.engine.tts.piper import PiperSynthesizer

    name = settings.synthesis.voice
    _expect(store, name, "piper")
    return PiperSynthesizer(name, store.path(name), settings.synthesis)


def _language_model(settings: EngineSettings, store: ModelStore) -> LanguageModel:
    from tellerline.engine.llm.llama import LlamaModel

    name = settings.language_model.model
    _expect(store, name, "llama")
    return LlamaModel(store.path(name) / "model.gguf", settings.language_model)


def _expect(store: ModelStore, name: str, engine: str) -> None:
    model = store.manifest.model(name)
    if model.engine != engine:
        raise ModelError(f"models: {name} is a model for {model.engine}, not for {engine}")


def _timed(name: str, load_one: Callable[[], _Loaded]) -> _Loaded:
    started = time.perf_counter()
    notify.status(f"loading {name}")
    notify.more_time(LOAD_SECONDS)
    loaded = load_one()
    log.info("loaded %s in %.1f s", name, time.perf_counter() - started)
    return loaded
