"""Piper: a sentence at a time, trimmed, at telephone rate, on threads that do not spin."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from piper import PiperVoice
from piper.config import PiperConfig, SynthesisConfig

from tellerline.engine import audio
from tellerline.engine.precedence import CPU
from tellerline.engine.tts import text as speech_text
from tellerline.engine.tts.cache import Phrase, PhraseCache
from tellerline.engine.tts.port import Spoken, Synthesizer
from tellerline.errors import SynthesisError
from tellerline.monitoring import metrics
from tellerline.settings import SynthesisSettings

# About 17 minutes of 8 kHz phrases.
_CACHE_BYTES = 16 * 1024 * 1024
_SLOWEST, _FASTEST = 0.5, 2.0
# Piper begins with 50-310 ms of silence, which a caller hears as latency; the onset keeps this much.
_LEAD_SECONDS = 0.01
# And it ends with 120-270 ms: enough of a pause between sentences, more than a clause wants.
_TAIL_SECONDS = 0.12


class PiperSynthesizer(Synthesizer):
    """A Piper voice (`voice.onnx`, `voice.onnx.json`)."""

    def __init__(self, name: str, folder: Path, settings: SynthesisSettings) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads
        options.inter_op_num_threads = 1
        # Spinning threads made every clause 1.5 times slower beside a busy neighbour (two cores, measured).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The arena keeps the longest sentence's memory for ever; without it the process stays 150 MB smaller.
        options.enable_cpu_mem_arena = False
        config = json.loads((folder / "voice.onnx.json").read_text(encoding="utf-8"))
        self._voice = PiperVoice(
            session=onnxruntime.InferenceSession(
                str(folder / "voice.onnx"), options, providers=["CPUExecutionProvider"]
            ),
            config=PiperConfig.from_dict(config),
        )
        self._name = name
        self._cache = PhraseCache(_CACHE_BYTES)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="piper")

    async def synthesize(
        self, text: str, speed: float, rate_hz: int, keep: bool
    ) -> AsyncGenerator[Spoken, None]:
        if not _SLOWEST <= speed <= _FASTEST:
            raise SynthesisError(f"synthesis: speed {speed} is outside {_SLOWEST} to {_FASTEST}")
        phrase = Phrase(self._name, text, speed, rate_hz)
        cached = self._cache.get(phrase)
        if cached is not None:
            for spoken in cached:
                yield Spoken(spoken.pcm, spoken.words, cached=True)
            return
        made: list[Spoken] = []
        at_ms = 0
        for sentence in speech_text.sentences(text):
            spoken = await self._speak(sentence, speed, rate_hz, at_ms, first=not made)
            made.append(spoken)
            at_ms += len(spoken.pcm) * 1000 // (2 * rate_hz)
            yield spoken
        if keep:
            self._cache.put(phrase, tuple(made))

    async def pulse(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._worker, lambda: None)

    def close(self) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)

    async def _speak(self, sentence: str, speed: float, rate_hz: int, at_ms: int, first: bool) -> Spoken:
        asked = time.perf_counter()
        started, spoken = await asyncio.get_running_loop().run_in_executor(
            self._worker, self._make, sentence, speed, rate_hz, at_ms
        )
        stage = "synthesis_first" if first else "synthesis"
        metrics.ENGINE_QUEUE_SECONDS.labels(stage).observe(started - asked)
        metrics.ENGINE_STAGE_SECONDS.labels(stage).observe(time.perf_counter() - started)
        return spoken

    def _make(self, sentence: str, speed: float, rate_hz: int, at_ms: int) -> tuple[float, Spoken]:
        started = time.perf_counter()
        config = SynthesisConfig(length_scale=self._voice.config.length_scale / speed)
        try:
            with CPU.urgent():
                chunks = [chunk.audio_float_array for chunk in self._voice.synthesize(sentence, config)]
        except Exception as error:  # onnxruntime and espeak raise their own, many kinds
            raise SynthesisError(f"synthesis: Piper failed: {type(error).__name__}") from error
        if not chunks:
            return started, Spoken(b"", ())
        own_hz = self._voice.config.sample_rate
        samples = np.concatenate(chunks)
        start, end = audio.sound(samples, own_hz)
        start = max(0, start - int(_LEAD_SECONDS * own_hz))
        samples = samples[start : end + int(_TAIL_SECONDS * own_hz)]
        telephone = audio.resample(samples, own_hz, rate_hz)
        words = sentence.split()
        sounding_ms = (end - start) * 1000 // own_hz
        placed = speech_text.place(words, speech_text.weights(words), at_ms, at_ms + sounding_ms)
        return started, Spoken(audio.to_pcm(telephone), placed)
