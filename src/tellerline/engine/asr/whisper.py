"""Whisper on CTranslate2: one short-window decode an utterance, shared by all calls.

Whisper was trained on 30 s windows; decoding a padded one costs three times what the speech needs, and a
window as long as the speech makes it run away. max(8 s, speech + 2 s) is the shortest that stays sane
(docs/latency.md). Each decode runs on one core: a second thread makes a 384-wide decoder slower, and
several workers keep several calls from waiting for each other.
"""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer

from tellerline.engine import audio
from tellerline.engine.asr.port import Heard, Recognizer, Utterance
from tellerline.engine.asr.repeats import compression_ratio, without_repeats
from tellerline.errors import RecognitionError
from tellerline.settings import RecognitionSettings

RATE_HZ = 16_000
_FRAMES_PER_SECOND = 100
_WINDOW_SECONDS = 8.0
_MARGIN_SECONDS = 2.0
_LONGEST_SECONDS = 30.0
_SPARE_TOKENS = 6
_TOKENS_PER_SECOND = 6
# Left after the last sound, so that a final plosive keeps its release.
_TAIL_SECONDS = 0.2
# Shorter than any word.
_SHORTEST_SECONDS = 0.08


@dataclass(frozen=True)
class Window:
    """How much the model looks at, and how much it may say, for speech of a length."""

    frames: int
    tokens: int

    @classmethod
    def of(cls, seconds: float) -> Window:
        length = min(_LONGEST_SECONDS, max(_WINDOW_SECONDS, seconds + _MARGIN_SECONDS))
        # The encoder halves the frames, so their number is even.
        frames = 2 * round(length * _FRAMES_PER_SECOND / 2)
        return cls(frames=frames, tokens=_SPARE_TOKENS + math.ceil(_TOKENS_PER_SECOND * seconds))


class WhisperRecognizer(Recognizer):
    """A Whisper model of faster-whisper's layout, decoded greedily without timestamps."""

    def __init__(self, folder: Path, settings: RecognitionSettings) -> None:
        workers = settings.threads if settings.device == "cpu" else 1
        self._threshold = settings.no_speech_threshold
        self._model = ctranslate2.models.Whisper(
            str(folder),
            device=settings.device,
            compute_type=settings.compute_type,
            inter_threads=workers,
            intra_threads=1,
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="whisper")

    def open(self, language: str, partials: bool) -> Utterance:
        return _WhisperUtterance(self, self._prompt(language))

    async def pulse(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._workers, lambda: None)

    def close(self) -> None:
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _prompt(self, language: str) -> list[int]:
        names = ["<|startoftranscript|>", "<|notimestamps|>"]
        if self._model.is_multilingual:
            names[1:1] = [f"<|{language.split('-')[0] or 'en'}|>", "<|transcribe|>"]
        elif language and not language.lower().startswith("en"):
            raise RecognitionError(f"recognition: the Whisper model is English only, asked for {language!r}")
        found = [self._tokenizer.token_to_id(name) for name in names]
        ids = [number for number in found if number is not None]
        if len(ids) < len(names):
            raise RecognitionError(f"recognition: the Whisper model does not know the language {language!r}")
        return ids

    async def recognize(self, pcm: bytes, prompt: list[int]) -> Heard:
        """The text of `pcm` (S16LE, 8,000 Hz). A cancelled call never starts the model."""
        asked = time.perf_counter()
        loop = asyncio.get_running_loop()
        # ThreadPoolExecutor drops a future that was cancelled before a worker took it.
        started, heard = await loop.run_in_executor(self._workers, self._decode, pcm, prompt)
        return replace(heard, queued_ms=round((started - asked) * 1000))

    def _decode(self, pcm: bytes, prompt: list[int]) -> tuple[float, Heard]:
        started = time.perf_counter()
        audio_ms = len(pcm) // 16
        samples = audio.from_pcm(pcm)
        _, end = audio.sound(samples, audio.TELEPHONE_RATE_HZ)
        samples = samples[: end + int(_TAIL_SECONDS * audio.TELEPHONE_RATE_HZ)]
        if end < _SHORTEST_SECONDS * audio.TELEPHONE_RATE_HZ:
            return started, Heard("", no_speech_prob=1.0, audio_ms=audio_ms)
        # An utterance past the model's 30 s keeps its end, where the question is.
        samples = samples[-int(_LONGEST_SECONDS * audio.TELEPHONE_RATE_HZ) :]
        seconds = samples.size / audio.TELEPHONE_RATE_HZ
        window = Window.of(seconds)
        try:
            result = self._model.generate(
                self._spectrogram(samples, window.frames),
                [prompt],
                beam_size=1,
                max_length=len(prompt) + window.tokens,
                return_scores=True,
                return_no_speech_prob=True,
            )[0]
        except RuntimeError as error:
            raise RecognitionError(f"recognition: the Whisper model failed: {error}") from error
        heard = self._heard(result, seconds, window)
        decode_ms = round((time.perf_counter() - started) * 1000)
        return started, replace(heard, audio_ms=audio_ms, decode_ms=decode_ms)

    def _spectrogram(self, samples: audio.Samples, frames: int) -> ctranslate2.StorageView:
        """Log-mel features [1, mels, frames] of the speech, padded with silence to the window."""
        wide = np.zeros(frames * RATE_HZ // _FRAMES_PER_SECOND, np.float32)
        speech = audio.resample(samples, audio.TELEPHONE_RATE_HZ, RATE_HZ)[: wide.size]
        wide[: speech.size] = speech
        features = self._features(wide, padding=0)[None, :, :frames]
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(features))

    def _heard(
        self, result: ctranslate2.models.WhisperGenerationResult, seconds: float, window: Window
    ) -> Heard:
        ids = result.sequences_ids[0]
        text = self._tokenizer.decode(ids, skip_special_tokens=True).strip()
        ratio = compression_ratio(text)
        text = without_repeats(text, seconds, cut_short=len(ids) >= window.tokens)
        speech = result.no_speech_prob < self._threshold and any(map(str.isalnum, text))
        return Heard(
            text if speech else "",
            avg_logprob=result.scores[0],
            no_speech_prob=result.no_speech_prob,
            compression_ratio=ratio,
        )


class _WhisperUtterance(Utterance):
    def __init__(self, recognizer: WhisperRecognizer, prompt: list[int]) -> None:
        self._recognizer = recognizer
        self._prompt = prompt
        self._pcm = bytearray()

    async def hear(self, pcm: bytes) -> str | None:
        self._pcm += pcm
        return None

    async def finalize(self) -> Heard:
        return await self._recognizer.recognize(bytes(self._pcm), self._prompt)

    def close(self) -> None:
        self._pcm.clear()
