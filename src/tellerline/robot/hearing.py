"""The caller's ear: recognises recorded answers after the call, so that it does not load what it measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tellerline.robot import rtp
from tellerline.robot.g711 import Samples

_WHISPER_RATE_HZ = 16_000
# Shorter than a spoken word.
_SHORTEST_SAMPLES = rtp.RATE_HZ // 8


class Ear:
    """faster-whisper with its full 30 s window: slower than the engine's short one, without its run-aways."""

    def __init__(self, whisper_model: Path) -> None:
        self._folder = whisper_model
        self._model: Any = None

    def hear(self, samples: Samples) -> str:
        """The text of S16 mono 8,000 Hz samples; empty for silence."""
        if len(samples) < _SHORTEST_SAMPLES or int(np.abs(samples.astype(np.int32)).max()) < 200:
            return ""
        import soxr
        from faster_whisper import WhisperModel

        if self._model is None:
            self._model = WhisperModel(str(self._folder), device="cpu", compute_type="int8", cpu_threads=2)
        wide = soxr.resample(samples.astype(np.float32) / 32768, rtp.RATE_HZ, _WHISPER_RATE_HZ)
        segments, _ = self._model.transcribe(
            wide, language="en", beam_size=3, condition_on_previous_text=False, without_timestamps=True
        )
        return " ".join(segment.text.strip() for segment in segments)
