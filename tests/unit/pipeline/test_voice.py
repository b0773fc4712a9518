"""The caller's and the bot's levels: where speech ended, and what is only an echo."""

from __future__ import annotations

import numpy as np
import pytest

from tellerline.pipeline.voice import EchoLevel, level_db, trailing_silence_ms


def tone(ms: int, level: float) -> bytes:
    """A 200 Hz tone of `level` dBFS RMS."""
    t = np.arange(ms * 8) / 8000
    return (np.sin(2 * np.pi * 200 * t) * 32768 * 2**0.5 * 10 ** (level / 20)).astype("<i2").tobytes()


def noise(ms: int, level: float) -> bytes:
    generator = np.random.default_rng(7)
    return (generator.standard_normal(ms * 8) * 32768 * 10 ** (level / 20)).astype("<i2").tobytes()


def test_levels_are_rms_below_full_scale() -> None:
    assert level_db(tone(100, -20)) == pytest.approx(-20, abs=0.1)
    assert level_db(bytes(320)) == -100


@pytest.mark.parametrize("line", [bytes(16 * 300), noise(300, -55), noise(300, -70)])
@pytest.mark.parametrize("silence_ms", [0, 30, 60, 120])
def test_the_last_sound_is_found_above_the_lines_noise(line: bytes, silence_ms: int) -> None:
    assert trailing_silence_ms(line + tone(400, -20) + line[: 16 * silence_ms]) == silence_ms


def test_too_little_audio_has_no_silence() -> None:
    assert trailing_silence_ms(bytes(160)) == 0


def test_the_bots_own_voice_26_db_down_is_an_echo() -> None:
    echo = EchoLevel()
    for at_ms in range(0, 400, 20):
        echo.said(tone(20, -20), at_ms)
    assert echo.explains(tone(32, -46), 550)
    assert not echo.explains(tone(32, -30), 550)
    assert not echo.explains(tone(32, -46), 1100)
