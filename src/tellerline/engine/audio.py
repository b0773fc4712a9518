"""Samples inside the engine: S16LE ⇄ float, resampling, where sound begins and ends."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

Samples = npt.NDArray[np.float32]

TELEPHONE_RATE_HZ = 8_000

# Sound is judged in frames of 10 ms: shorter than any phone, longer than a period of the lowest voice.
_FRAME_SECONDS = 0.01
# 40 dB below the loudest frame is inaudible behind it; -55 dBFS is below any line's noise floor.
_BELOW_PEAK = 10 ** (-40 / 20)
_FLOOR = 10 ** (-55 / 20)


def from_pcm(pcm: bytes) -> Samples:
    """S16LE mono bytes as float32 in [-1, 1). An odd last byte (half a sample) is left out."""
    whole = memoryview(pcm)[: len(pcm) & ~1]
    return np.frombuffer(whole, dtype="<i2").astype(np.float32) / np.float32(32768.0)


def to_pcm(samples: Samples) -> bytes:
    """float32 in [-1, 1] as S16LE mono bytes, clipped."""
    scaled = np.clip(samples * np.float32(32767.0), -32767.0, 32767.0)
    pcm: bytes = scaled.astype("<i2").tobytes()
    return pcm


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """The whole of `samples` at another rate: no delay, no lost tail (the length scales exactly)."""
    if from_hz == to_hz or samples.size == 0:
        return samples
    converted: Samples = soxr.resample(samples, from_hz, to_hz, quality="HQ").astype(np.float32, copy=False)
    return converted


def sound(samples: Samples, rate_hz: int) -> tuple[int, int]:
    """The first and one-past-last sample of what can be heard; (0, 0) for silence."""
    frame = int(rate_hz * _FRAME_SECONDS)
    count = -(-samples.size // frame)
    if count == 0:
        return 0, 0
    padded = np.zeros(count * frame, np.float32)
    padded[: samples.size] = samples
    level = np.sqrt(np.mean(np.square(padded.reshape(count, frame)), axis=1))
    heard = np.flatnonzero(level > max(float(level.max()) * _BELOW_PEAK, _FLOOR))
    if heard.size == 0:
        return 0, 0
    return int(heard[0]) * frame, min(samples.size, (int(heard[-1]) + 1) * frame)
