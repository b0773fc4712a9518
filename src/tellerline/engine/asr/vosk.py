"""Vosk: recognition as the audio arrives, with partial texts and an explicit end."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import vosk

from tellerline.engine import audio
from tellerline.engine.asr.port import Heard, Recognizer, Utterance
from tellerline.errors import RecognitionError
from tellerline.settings import RecognitionSettings

# Kaldi logs to standard error at level 0, what it recognised included.
_SILENT = -1
# Decoded at once; a smaller piece costs more hops between threads than it wins.
_PIECE_BYTES = 1600

_Result = TypeVar("_Result")


class VoskRecognizer(Recognizer):
    """A Vosk model. It takes 8,000 Hz audio and upsamples inside (`--allow-upsample` of its mfcc.conf)."""

    def __init__(self, folder: Path, settings: RecognitionSettings, languages: tuple[str, ...]) -> None:
        vosk.SetLogLevel(_SILENT)
        try:
            self._model = vosk.Model(str(folder))
        except Exception as error:  # vosk raises nothing narrower
            raise RecognitionError(f"recognition: the Vosk model in {folder} does not load") from error
        self._languages = languages
        self._workers = ThreadPoolExecutor(settings.threads, thread_name_prefix="vosk")

    def open(self, language: str, partials: bool) -> Utterance:
        if language and self._languages and language.split("-")[0] not in self._languages:
            known = ", ".join(self._languages)
            raise RecognitionError(f"recognition: the Vosk model knows {known}, asked for {language!r}")
        return _VoskUtterance(
            vosk.KaldiRecognizer(self._model, float(audio.TELEPHONE_RATE_HZ)), self._workers, partials
        )

    async def pulse(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._workers, lambda: None)

    def close(self) -> None:
        self._workers.shutdown(wait=True, cancel_futures=True)


class _VoskUtterance(Utterance):
    """One Kaldi decoder. Its calls run one after another on the shared workers."""

    def __init__(self, kaldi: vosk.KaldiRecognizer, workers: ThreadPoolExecutor, partials: bool) -> None:
        self._kaldi = kaldi
        self._workers = workers
        self._partials = partials
        # Held by a worker, not by a coroutine: cancelling a Finalize does not stop its worker.
        self._one_at_a_time = threading.Lock()
        self._waiting = bytearray()
        self._bytes = 0
        # Texts Kaldi has closed: at its own end points and at earlier Finalizes.
        self._closed: list[str] = []
        self._shown = ""

    async def hear(self, pcm: bytes) -> str | None:
        self._waiting += pcm
        self._bytes += len(pcm)
        if len(self._waiting) < _PIECE_BYTES:
            return None
        text = await self._run(self._accept)
        if not self._partials or text == self._shown:
            return None
        self._shown = text
        return text

    async def finalize(self) -> Heard:
        asked = time.perf_counter()
        started, text = await self._run(self._finish)
        ended = time.perf_counter()
        self._shown = text
        return Heard(
            text,
            audio_ms=self._bytes // 16,
            decode_ms=round((ended - started) * 1000),
            queued_ms=round((started - asked) * 1000),
        )

    def close(self) -> None:
        self._waiting.clear()

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._workers, self._locked, work)

    def _locked(self, work: Callable[[], _Result]) -> _Result:
        with self._one_at_a_time:
            return work()

    def _accept(self) -> str:
        piece = bytes(self._waiting)
        # The event loop may append meanwhile; what was there is what goes.
        del self._waiting[: len(piece)]
        if self._kaldi.AcceptWaveform(piece):
            self._closed.append(json.loads(self._kaldi.Result())["text"])
            return self._text()
        return self._text(json.loads(self._kaldi.PartialResult())["partial"])

    def _finish(self) -> tuple[float, str]:
        started = time.perf_counter()
        self._accept()
        self._closed.append(json.loads(self._kaldi.FinalResult())["text"])
        return started, self._text()

    def _text(self, last: str = "") -> str:
        return " ".join(text for text in (*self._closed, last) if text)
