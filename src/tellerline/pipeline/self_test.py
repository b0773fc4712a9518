"""Asks the models of a pipeline what they must know: before it serves, and ever after, in that very process.

As with the engine's (engine/self_test.py): a model can load and still answer wrongly.
"""

from __future__ import annotations

from tellerline.errors import ModelError
from tellerline.pipeline.build import Models
from tellerline.pipeline.phrases import Phrases
from tellerline.pipeline.voice import WINDOW_BYTES, CallerVoice

# A voice says at least this; silence stays below the other (Silero, measured: 0.99 and 0.01).
_VOICE = 0.8
_SILENCE = 0.3
_SILENT_WINDOWS = 8
_REMEDY = "check the unit's sandbox (MemoryDenyWriteExecute must be off), and install the release again"


async def run(models: Models, phrases: Phrases) -> None:
    """Plays silence and the greeting to the voice model, the greeting to the turn model.

    Raises ModelError.
    """
    spoken = phrases.spoken("greeting")
    silence = bytes(WINDOW_BYTES * _SILENT_WINDOWS)
    if (heard := _loudest(models, silence)) > _SILENCE:
        raise ModelError(f"self-test: the voice model takes silence for a voice ({heard:.2f}); {_REMEDY}")
    if (heard := _loudest(models, spoken)) < _VOICE:
        raise ModelError(f"self-test: the voice model hears no voice in a phrase ({heard:.2f}); {_REMEDY}")
    complete = await models.turn.completeness(spoken)
    if not 0.0 <= complete <= 1.0:
        raise ModelError(f"self-test: the turn model says {complete} for a probability; {_REMEDY}")


async def pulse(models: Models) -> None:
    """Returns once a window of sound went through the voice model, and a turn through the other's thread."""
    CallerVoice(models.voice).probability(bytes(WINDOW_BYTES))
    await models.turn.pulse()


def _loudest(models: Models, pcm: bytes) -> float:
    voice = CallerVoice(models.voice)
    windows = range(0, len(pcm) - WINDOW_BYTES + 1, WINDOW_BYTES)
    return max(voice.probability(pcm[at : at + WINDOW_BYTES]) for at in windows)
