"""The caller's voice: lines rendered before the call by Piper (altered pitch and tempo) or espeak-ng."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tellerline.errors import ScenarioError
from tellerline.robot import recording, rtp
from tellerline.robot.g711 import Samples
from tellerline.robot.trace import Line

# Lines peak at -6 dBFS, like a telephone held close.
_PEAK = 16384


@dataclass(frozen=True)
class Voice:
    """How the caller sounds: 1.0 is the voice as it is; `language` other than "en" takes espeak-ng."""

    pitch: float = 1.12
    tempo: float = 1.0
    language: str = "en"


class Speaker:
    """Renders lines. The Piper model is loaded at the first English line."""

    def __init__(self, piper_model: Path) -> None:
        self._model = piper_model
        self._piper: Any = None

    def line(self, text: str, voice: Voice) -> Line:
        """`text` spoken, S16 mono 8,000 Hz. Raises ScenarioError where a speaker is missing."""
        samples = self._by_piper(text, voice) if voice.language == "en" else self._by_espeak(text, voice)
        return Line(text, _levelled(samples))

    def _by_piper(self, text: str, voice: Voice) -> Samples:
        from piper import PiperVoice, SynthesisConfig  # a second to import; only needed here

        if self._piper is None:
            self._piper = PiperVoice.load(self._model)
        # Played faster the voice is higher; it is made slower by as much before.
        config = SynthesisConfig(length_scale=voice.pitch / voice.tempo, noise_scale=0.4, noise_w_scale=0.4)
        chunks = [chunk.audio_int16_array for chunk in self._piper.synthesize(text, syn_config=config)]
        made = np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
        return recording.resampled(made, self._piper.config.sample_rate * voice.pitch)

    def _by_espeak(self, text: str, voice: Voice) -> Samples:
        program = shutil.which("espeak-ng")
        if program is None:
            raise ScenarioError("scenario: lines not in English need espeak-ng; apt-get install espeak-ng")
        done = subprocess.run(
            (program, "-v", voice.language, "-p", str(round(50 * voice.pitch)), "--stdout", "--", text),
            capture_output=True,
        )
        if done.returncode != 0:
            raise ScenarioError(f"scenario: espeak-ng speaks no {voice.language!r}; see espeak-ng --voices")
        with wave.open(io.BytesIO(done.stdout)) as file:
            rate = file.getframerate()
            # espeak-ng cannot know the length of what it streams and writes a wrong one.
            samples = np.frombuffer(done.stdout[44:][: len(done.stdout[44:]) // 2 * 2], np.int16)
        return recording.resampled(samples, rate)


def recorded(path: Path, said: str) -> Line:
    """A line from a WAV file, as it is."""
    return Line(said, recording.read(path))


def room_noise(level_db: float, seconds: float = 10.0, seed: int = 8) -> Samples:
    """Noise with more power at low frequencies, as rooms and lines have, at `level_db` dBFS RMS."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(round(seconds * rtp.RATE_HZ)))
    frequency = np.maximum(50.0, np.fft.rfftfreq(round(seconds * rtp.RATE_HZ), 1 / rtp.RATE_HZ))
    noise = np.fft.irfft(spectrum / np.sqrt(frequency))
    return at_level(noise, level_db)


def at_level(samples: Any, level_db: float) -> Samples:
    """`samples` scaled to `level_db` dBFS RMS."""
    values = np.asarray(samples, np.float64)
    scale = 32768 * 10 ** (level_db / 20) / max(1e-9, float(np.sqrt(np.mean(values**2))))
    return np.asarray(np.clip(values * scale, -32768, 32767), np.int16)


def _levelled(samples: Samples) -> Samples:
    peak = int(np.abs(samples.astype(np.int32)).max()) if len(samples) else 0
    return (samples.astype(np.float64) * (_PEAK / max(1, peak))).astype(np.int16)
