"""Samples: conversions lose nothing, sound is found where it is."""

import numpy as np
import pytest

from tellerline.engine import audio
from tellerline.engine.self_test import distance


def tone(seconds: float, rate_hz: int, level: float = 0.3) -> audio.Samples:
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def test_pcm_survives_the_way_there_and_back() -> None:
    samples = tone(0.1, 8000)
    assert np.abs(audio.from_pcm(audio.to_pcm(samples)) - samples).max() < 2 / 32768


def test_half_a_sample_is_left_out() -> None:
    assert audio.from_pcm(b"\x00\x40\x01").size == 1


@pytest.mark.parametrize("seconds", [0.05, 0.5, 3.0])
def test_resampling_keeps_the_length_and_the_tail(seconds: float) -> None:
    samples = audio.resample(tone(seconds, 22050), 22050, 8000)
    assert abs(samples.size - seconds * 8000) <= 1
    assert np.abs(samples[-80:]).max() > 0.2


def test_sound_is_found_between_silences() -> None:
    silence = np.zeros(800, np.float32)
    samples = np.concatenate([silence, tone(0.2, 8000), silence])
    assert audio.sound(samples, 8000) == (800, 2400)


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.float32), np.zeros(4000, np.float32), tone(0.5, 8000, 0.0005)]
)
def test_silence_has_no_sound(samples: audio.Samples) -> None:
    assert audio.sound(samples, 8000) == (0, 0)


def test_word_distance() -> None:
    assert distance("I lost my card.", "i lost my card") == 0
    assert distance("I lost my card.", "I lost the card yesterday") == 2
    assert distance("yes", "") == 1
