"""Voice activity and end-of-turn models, loaded once and shared by all calls of this process."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

RATE_HZ = 8000
WINDOW_SAMPLES = 256
WINDOW_BYTES = 2 * WINDOW_SAMPLES
_CONTEXT_SAMPLES = 32
# Music or long silence leaves Silero's state deaf to the speech after it; pipecat's measured cure is a
# reset about every 2 s, only in a run of clear silence.
_RESET_WINDOWS = 62
_RESET_PROBABILITY = 0.1
_RESET_LOW_WINDOWS = 5

Samples = npt.NDArray[np.float32]


class VoiceModel:
    """Silero VAD's weights in one ONNX session; calls bring their own state."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = 1
        path = resources.files("pipecat.audio.vad.data") / "silero_vad.onnx"
        self._session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._rate = np.array(RATE_HZ, dtype=np.int64)

    def run(self, samples: Samples, state: Samples) -> tuple[float, Samples]:
        """Speech probability of context and window (1, 288) given `state` (2, 1, 128), and the next state."""
        output, state = self._session.run(None, {"input": samples, "state": state, "sr": self._rate})
        return float(output[0, 0]), state


class CallerVoice:
    """Voice activity of one caller. 0.13 ms a window (measured), so it runs on the event loop without
    an executor."""

    def __init__(self, model: VoiceModel) -> None:
        self._model = model
        self._input: Samples = np.zeros((1, _CONTEXT_SAMPLES + WINDOW_SAMPLES), dtype=np.float32)
        self._reset()

    def _reset(self) -> None:
        self._state: Samples = np.zeros((2, 1, 128), dtype=np.float32)
        self._input[:] = 0
        self._since_reset = 0
        self._low = 0

    def probability(self, window: bytes) -> float:
        """Speech probability of one window: 256 samples of S16LE at 8 kHz."""
        self._input[0, :_CONTEXT_SAMPLES] = self._input[0, -_CONTEXT_SAMPLES:]
        self._input[0, _CONTEXT_SAMPLES:] = np.frombuffer(window, dtype="<i2")
        self._input[0, _CONTEXT_SAMPLES:] /= 32768.0
        probability, self._state = self._model.run(self._input, self._state)
        self._since_reset += 1
        self._low = self._low + 1 if probability < _RESET_PROBABILITY else 0
        if self._since_reset >= _RESET_WINDOWS and self._low >= _RESET_LOW_WINDOWS:
            self._reset()
        return probability


class TurnModel:
    """smart-turn: does this audio end like a finished turn? One instance, one thread, for all calls."""

    def __init__(self) -> None:
        self._analyzer = LocalSmartTurnAnalyzerV3(sample_rate=RATE_HZ, cpu_count=1)
        self._analyzer.set_sample_rate(RATE_HZ)
        self._thread = ThreadPoolExecutor(
            # Its verdict is wanted 200 ms after the last sound; the answer's first words are wanted at once.
            # On Linux a nice value is a thread's own.
            max_workers=1,
            thread_name_prefix="smart-turn",
            initializer=os.nice,
            initargs=(10,),
        )

    async def completeness(self, pcm: bytes) -> float:
        """Probability that the turn in `pcm` (S16LE, 8 kHz; its last 8 s count) is complete."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._predict, pcm)

    def _predict(self, pcm: bytes) -> float:
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768.0
        answer: dict[str, Any] = self._analyzer._predict_endpoint(samples)
        return float(answer["probability"])

    async def pulse(self) -> None:
        """Returns once the thread has come round to it; one that hangs never does."""
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)

    def close(self) -> None:
        """Frees the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def level_db(pcm: bytes) -> float:
    """RMS level of S16LE samples in dBFS; -100 for digital silence."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    mean_square = float(np.dot(samples, samples)) / max(1, samples.size)
    return 10 * float(np.log10(mean_square / 2**30)) if mean_square > 0 else -100.0


# An echo this far below the bot is taken for the bot; callers closer to its level can interrupt. The line
# returns at most -26 dB, 8 dB below this; a caller quieter than the margin cannot interrupt.
ECHO_MARGIN_DB = 18.0
# Lead, play-out, the line's delay (150 ms) and the jitter of both.
ECHO_MS = 600


class EchoLevel:
    """Knows how loud the bot was just now, and so what of the caller's audio may be its echo."""

    def __init__(self) -> None:
        self._said: deque[tuple[int, float]] = deque()

    def said(self, pcm: bytes, at_ms: int) -> None:
        """20 ms of bot audio were handed to the line when the caller's audio stood at `at_ms`."""
        self._said.append((at_ms, level_db(pcm)))
        self._forget(at_ms)

    def explains(self, window: bytes, at_ms: int) -> bool:
        """Whether `window` of the caller's audio is quiet enough to be the bot's echo."""
        self._forget(at_ms)
        loudest = max((level for _, level in self._said), default=-100.0)
        return level_db(window) < loudest - ECHO_MARGIN_DB

    def _forget(self, at_ms: int) -> None:
        while self._said and self._said[0][0] < at_ms - ECHO_MS:
            self._said.popleft()


# Sound is what is within 40 dB of the utterance's loudest 10 ms, and 6 dB above the line's own noise.
_SOUND_RANGE_DB = 40.0
_ABOVE_NOISE_DB = 6.0
_FRAME_SAMPLES = 80
# -45 dBFS
_AUDIBLE = 184
_NOISE_FRAMES = 5


def trailing_silence_ms(pcm: bytes) -> int:
    """How long `pcm` (S16LE, 8 kHz, an utterance up to now) has been silent at its end, in steps of 10 ms.

    Silero falls below its threshold 84-105 ms after the last sound (median, Piper and people).
    """
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    frames = samples[samples.size % _FRAME_SAMPLES :].reshape(-1, _FRAME_SAMPLES)
    if len(frames) < _NOISE_FRAMES:
        return 0
    energy = np.einsum("ij,ij->i", frames, frames)
    noise = float(np.convolve(energy, np.full(_NOISE_FRAMES, 1 / _NOISE_FRAMES), "valid").min())
    quiet = max(float(energy.max()) * 10 ** (-_SOUND_RANGE_DB / 10), noise * 10 ** (_ABOVE_NOISE_DB / 10))
    loud = np.flatnonzero(energy > quiet)
    return 10 * int(len(energy) - 1 - loud[-1]) if loud.size else 0


def without_trailing_silence(pcm: bytes) -> bytes:
    """`pcm` up to 10 ms after its last sample above -45 dBFS."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.int32)) > _AUDIBLE)
    return pcm[: 2 * (int(loud[-1]) + RATE_HZ // 100)] if loud.size else pcm
