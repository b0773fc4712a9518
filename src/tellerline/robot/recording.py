"""WAV files: the stereo recording of a call, and lines and noise given as WAV."""

from __future__ import annotations

import json
import os
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tellerline.errors import ScenarioError
from tellerline.robot import measure, rtp
from tellerline.robot.g711 import Samples
from tellerline.robot.trace import CallTrace


def read(path: Path) -> Samples:
    """S16 mono 8,000 Hz samples of a WAV file; other rates are resampled, channels averaged.

    Raises ScenarioError naming the file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise ScenarioError(f"{path}: has {8 * file.getsampwidth()}-bit samples; give 16-bit PCM")
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
            channels, rate = file.getnchannels(), file.getframerate()
    except (OSError, wave.Error, EOFError) as error:
        raise ScenarioError(f"{path}: cannot be read as WAV ({error}); give 16-bit PCM WAV") from error
    if channels > 1:
        samples = samples.reshape(-1, channels).mean(axis=1).astype(np.int16)
    return resampled(samples, rate)


def resampled(samples: Samples, rate_hz: float) -> Samples:
    """`samples` at 8,000 Hz."""
    if rate_hz == rtp.RATE_HZ:
        return samples
    import soxr  # heavy; nothing in a call needs it

    return np.asarray(soxr.resample(samples, rate_hz, rtp.RATE_HZ), np.int16)


def save(folder: Path, trace: CallTrace, audio: measure.BotAudio, document: Mapping[str, Any]) -> None:
    """A call as call.wav and call.json in `folder`, which is made if need be.

    What was said in a call is its caller's: folders and files made here are their owner's alone.
    """
    before = os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_stereo(folder / "call.wav", trace, audio)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (folder / "call.json").write_text(text + "\n", encoding="utf-8")
    finally:
        os.umask(before)


def write_stereo(path: Path, trace: CallTrace, audio: measure.BotAudio) -> None:
    """Caller left by send time, bot right by arrival time, both on one clock, 8,000 Hz S16."""
    sent_ns = np.array(trace.sent_ns, np.int64)
    both = np.concatenate([sent_ns, audio.arrived_ns])
    if not len(both):
        both = np.array([0], np.int64)
    origin = int(both.min())
    total = int((int(both.max()) - origin) * rtp.RATE_HZ // 1_000_000_000) + 2 * rtp.FRAME_SAMPLES
    left = measure.place_frames(sent_ns, trace.sent, origin, total)
    right = measure.place_frames(audio.arrived_ns, audio.frames, origin, total)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rtp.RATE_HZ)
        file.writeframes(np.stack([left, right], axis=1).tobytes())
