"""Known-answer test of the loaded models, in the process that will serve them.

A model can load and still answer wrongly: CTranslate2 under MemoryDenyWriteExecute=yes returns wrong text
without a word. Nothing is served before every model answered as its manifest says.
"""

from __future__ import annotations

import asyncio
import logging
import time
import wave
from pathlib import Path

from tellerline import language
from tellerline.engine import audio
from tellerline.engine.asr.port import Recognizer
from tellerline.engine.llm.port import LanguageModel, Message, Prompt, Sampling
from tellerline.engine.manifest import KnownAnswer
from tellerline.engine.models import LOAD_SECONDS, Models
from tellerline.engine.router.router import IntentRouter
from tellerline.engine.tts.port import Synthesizer
from tellerline.errors import ModelError
from tellerline.monitoring import notify

log = logging.getLogger(__name__)

_ANSWER_TOKENS = 24
# Piper's voice varies from one time to the next, and a rare saying is misheard. A model that computes
# wrongly is wrong every time.
_ATTEMPTS = 3
# A second a word is slower than any voice speaks; a tenth is faster.
_WORD_SECONDS = (0.1, 1.0)
_REMEDY = "check the unit's sandbox (MemoryDenyWriteExecute must be off) and `tellerline models check`"


async def run(models: Models) -> None:
    """Tests every model. Raises ModelError naming the model, what it should have answered, and what to do."""
    started = time.perf_counter()
    notify.status("asking every model what it must know")
    notify.more_time(LOAD_SECONDS)
    for name in models.voices.keys() - {""}:
        await _speaks(name, models.voices[name], _known(models, name))
    for code, voice in models.voices_by_language.items():
        await _speaks(
            f"espeak-ng ({code})", voice, KnownAnswer(prompt=language.load(code).phrases["greeting"])
        )
    for engine, name in models.recognizer_models.items():
        await _hears(name, models.recognizers[engine], models, _known(models, name))
    await _answers(
        models.language_model_name, models.language_model, _known(models, models.language_model_name)
    )
    for code, name in models.router_models.items():
        await _routes(name, code, models.router, _known(models, name))
    log.info("self-test held in %.1f s", time.perf_counter() - started)


def _known(models: Models, name: str) -> KnownAnswer:
    known = models.manifest.model(name).known_answer
    if known is None:
        raise ModelError(
            f"self-test: {name} has no known_answer in its manifest; an untested model is not served"
        )
    return known


async def _speaks(name: str, voice: Synthesizer, known: KnownAnswer) -> None:
    samples = audio.from_pcm(await _spoken(voice, known.prompt))
    start, end = audio.sound(samples, audio.TELEPHONE_RATE_HZ)
    seconds, words = (end - start) / audio.TELEPHONE_RATE_HZ, len(known.prompt.split())
    if not _WORD_SECONDS[0] * words < seconds < _WORD_SECONDS[1] * words:
        raise ModelError(f"self-test: {name} spoke {words} words in {seconds:.1f} s; {_REMEDY}")


async def _question(models: Models, known: KnownAnswer) -> bytes:
    if known.audio is not None:
        return await asyncio.to_thread(read, models.manifest_folder / known.audio)
    return await _spoken(models.voices[""], known.prompt)


async def _spoken(voice: Synthesizer, text: str) -> bytes:
    sentences = voice.synthesize(text, 1.0, audio.TELEPHONE_RATE_HZ, keep=False)
    return b"".join([sentence.pcm async for sentence in sentences])


def read(path: Path) -> bytes:
    """A question's sound as S16LE PCM at 8 kHz. Raises ModelError."""
    try:
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getsampwidth(), file.getnchannels()) != (8000, 2, 1):
                raise ModelError(f"self-test: {path} must be 16-bit mono at 8,000 Hz")
            pcm: bytes = file.readframes(file.getnframes())
            return pcm
    except (OSError, wave.Error, EOFError) as error:
        raise ModelError(
            f"self-test: {path} cannot be read; it belongs beside the models manifest"
        ) from error


async def _hears(name: str, recognizer: Recognizer, models: Models, known: KnownAnswer) -> None:
    for _ in range(_ATTEMPTS):
        heard = await _heard(recognizer, await _question(models, known))
        if distance(known.answer, heard) <= known.tolerated_words:
            return
    raise ModelError(f"self-test: {name} heard {heard!r}, should have heard {known.answer!r}; {_REMEDY}")


async def _heard(recognizer: Recognizer, pcm: bytes) -> str:
    utterance = recognizer.open("", partials=False)
    try:
        await utterance.hear(pcm)
        return (await utterance.finalize()).text
    finally:
        utterance.close()


async def _answers(name: str, model: LanguageModel, known: KnownAnswer) -> None:
    call_id = "self-test"
    prompt = Prompt(call_id, (Message("user", known.prompt),), sampling=Sampling(max_tokens=_ANSWER_TOKENS))
    said = "".join([event async for event in model.generate(prompt) if isinstance(event, str)])
    model.forget(call_id)
    if known.answer.lower() not in said.lower():
        raise ModelError(f"self-test: {name} answered {said!r}, should contain {known.answer!r}; {_REMEDY}")


async def _routes(name: str, code: str, router: IntentRouter, known: KnownAnswer) -> None:
    routed = await router.route(known.prompt, code)
    if routed.intent != known.answer:
        raise ModelError(
            f"self-test: {name} took {known.prompt!r} for {routed.intent}, should be {known.answer}; "
            f"{_REMEDY}"
        )


def distance(expected: str, heard: str) -> int:
    """Words to insert, delete or replace between two texts, case and punctuation aside."""
    left, right = _words(expected), _words(heard)
    row = list(range(len(right) + 1))
    for i, one in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (one != other))
    return row[-1]


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()
