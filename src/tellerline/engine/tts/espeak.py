"""espeak-ng: a voice for languages that no model here speaks, made by rules instead of a model.

It runs as a process of its own: the library keeps one voice a process, and Piper uses another copy of it.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import time
import wave
from collections.abc import AsyncGenerator

from tellerline.engine import audio
from tellerline.engine.tts import text as speech_text
from tellerline.engine.tts.cache import Phrase, PhraseCache
from tellerline.engine.tts.port import Spoken, Synthesizer
from tellerline.errors import ModelError, SynthesisError
from tellerline.monitoring import metrics

# About 8 minutes of 8 kHz phrases.
_CACHE_BYTES = 8 * 1024 * 1024
_SLOWEST, _FASTEST = 0.5, 2.0
# espeak-ng's own pace (175 words a minute) is hard to follow on a telephone.
_WORDS_A_MINUTE = 150
# A sentence takes 10-40 ms; longer than this, the process hangs.
_SECONDS = 5.0
# What is left of the silence before and after a sentence.
_LEAD_SECONDS = 0.01
_TAIL_SECONDS = 0.12


class EspeakSynthesizer(Synthesizer):
    """The espeak-ng voice `voice` ("tr"). Raises ModelError where espeak-ng is not installed."""

    def __init__(self, voice: str) -> None:
        program = shutil.which("espeak-ng")
        if program is None:
            raise ModelError(
                "synthesis: espeak-ng is not installed; apt-get install espeak-ng, "
                "or set synthesis.espeak to {}"
            )
        self._program = program
        self._voice = voice
        self._cache = PhraseCache(_CACHE_BYTES)

    async def synthesize(
        self, text: str, speed: float, rate_hz: int, keep: bool
    ) -> AsyncGenerator[Spoken, None]:
        if not _SLOWEST <= speed <= _FASTEST:
            raise SynthesisError(f"synthesis: speed {speed} is outside {_SLOWEST} to {_FASTEST}")
        phrase = Phrase(f"espeak-ng {self._voice}", text, speed, rate_hz)
        cached = self._cache.get(phrase)
        if cached is not None:
            for spoken in cached:
                yield Spoken(spoken.pcm, spoken.words, cached=True)
            return
        made: list[Spoken] = []
        at_ms = 0
        for sentence in speech_text.sentences(text):
            started = time.perf_counter()
            spoken = _placed(sentence, await self._speak(sentence, speed), rate_hz, at_ms)
            stage = "synthesis" if made else "synthesis_first"
            metrics.ENGINE_STAGE_SECONDS.labels(stage).observe(time.perf_counter() - started)
            made.append(spoken)
            at_ms += len(spoken.pcm) * 1000 // (2 * rate_hz)
            yield spoken
        if keep:
            self._cache.put(phrase, tuple(made))

    async def pulse(self) -> None:
        # A process for each sentence, with a limit of its own: there is no worker that could hang.
        return None

    def close(self) -> None:
        """Nothing to free: each sentence is a process of its own."""

    async def _speak(self, sentence: str, speed: float) -> bytes:
        """The WAV of one sentence."""
        return await asyncio.to_thread(self._run, sentence, speed)

    def _run(self, sentence: str, speed: float) -> bytes:
        pace = str(round(_WORDS_A_MINUTE * speed))
        # subprocess starts by vfork. uvloop forks, and beside gRPC's threads the child died of SIGSEGV in
        # the fork handlers, four times of four.
        try:
            done = subprocess.run(
                # The text goes in by standard input: the list of processes would show it among arguments.
                (self._program, "-v", self._voice, "-s", pace, "-b", "1", "--stdin", "--stdout"),
                input=sentence.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            # Its own text would quote the sentence.
            raise SynthesisError(f"synthesis: espeak-ng took more than {_SECONDS:.0f} s") from None
        if done.returncode != 0:
            raise SynthesisError(
                f"synthesis: espeak-ng failed ({done.returncode}); does it know the voice {self._voice!r}?"
            )
        return done.stdout


def _placed(sentence: str, wav: bytes, rate_hz: int, at_ms: int) -> Spoken:
    """The sentence at `rate_hz`, its silences cut, its words laid over what sounds."""
    try:
        with wave.open(io.BytesIO(wav)) as file:
            own_hz = file.getframerate()
            # Written to a pipe, the header's length is a guess: read what there is.
            samples = audio.from_pcm(file.readframes(len(wav)))
    except (wave.Error, EOFError) as error:
        raise SynthesisError("synthesis: espeak-ng's answer is no WAV") from error
    start, end = audio.sound(samples, own_hz)
    if end == 0:
        return Spoken(b"", ())
    start = max(0, start - int(_LEAD_SECONDS * own_hz))
    samples = samples[start : end + int(_TAIL_SECONDS * own_hz)]
    words = sentence.split()
    sounding_ms = (end - start) * 1000 // own_hz
    placed = speech_text.place(words, speech_text.weights(words), at_ms, at_ms + sounding_ms)
    return Spoken(audio.to_pcm(audio.resample(samples, own_hz, rate_hz)), placed)
