"""Fixed phrases rendered through the engine: kept in memory by the pipeline, as WAV for the connector.

A folder of them holds <key>.wav, and words.json: what each says, and where its words lie in it; and
voice.txt, where who rendered them said whose voice it is.
"""

from __future__ import annotations

import json
import logging
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellerline import language
from tellerline.pipeline.engine import Engine
from tellerline.rpc import engine_pb2 as pb

log = logging.getLogger(__name__)

RATE_HZ = 8000
_WORDS = "words.json"
_VOICE = "voice.txt"


@dataclass(frozen=True)
class Rendered:
    """One phrase: S16LE PCM at 8 kHz and its words' places in it."""

    text: str
    pcm: bytes
    words: tuple[pb.SpokenWord, ...]


class Phrases:
    """Every fixed phrase of a language, rendered; `others` are those of the site's other languages."""

    def __init__(self, rendered: dict[str, Rendered], others: Mapping[str, Phrases] | None = None) -> None:
        self._by_key = rendered
        self._by_text = {phrase.text: phrase for phrase in rendered.values()}
        self._others = dict(others or {})

    def of(self, code: str) -> Phrases:
        """The phrases of language `code`; these, where the site does not speak it."""
        return self._others.get(code, self)

    def text(self, key: str) -> str:
        """What phrase `key` says."""
        return self._by_key[key].text

    def spoken(self, key: str) -> bytes:
        """Phrase `key` as S16LE PCM at 8 kHz."""
        return self._by_key[key].pcm

    def seconds(self, key: str) -> float:
        """How long phrase `key` lasts."""
        return len(self._by_key[key].pcm) / (2 * RATE_HZ)

    def find(self, text: str) -> Rendered | None:
        """The rendering of exactly `text`, if it is a fixed phrase."""
        return self._by_text.get(text)


def complete(words: language.Language, folder: Path | None) -> bool:
    """Whether all of a language lies in `folder` word for word, so that no engine is needed to speak it."""
    kept = _read(folder) if folder is not None else {}
    return all(key in kept and kept[key].text == text for key, text in words.phrases.items())


async def render(engine: Engine, words: language.Language, folder: Path | None = None) -> dict[str, Rendered]:
    """All phrases of a language: from `folder` where they are there word for word, else through the engine.

    Raises SynthesisError.
    """
    kept = _read(folder) if folder is not None else {}
    return {
        key: kept[key]
        if key in kept and kept[key].text == text
        else await _render_one(engine, text, words.code)
        for key, text in words.phrases.items()
    }


async def _render_one(engine: Engine, text: str, code: str) -> Rendered:
    pcm = bytearray()
    words: list[pb.SpokenWord] = []
    async for reply in engine.synthesise(text, fixed_phrase=True, code=code):
        pcm += reply.pcm
        words.extend(reply.words)
    return Rendered(text, bytes(pcm), tuple(words))


async def render_at(socket: Path, code: str) -> dict[str, Rendered]:
    """All phrases of language `code` through the engine at `socket`. Raises SynthesisError."""
    engine = Engine(socket)
    try:
        return await render(engine, language.load(code))
    finally:
        await engine.close()


def are_complete(folder: Path, code: str, voice: str) -> bool:
    """Whether `folder` holds every phrase of language `code`, word for word, as rendered by `voice`."""
    try:
        if (folder / _VOICE).read_text(encoding="utf-8") != voice:
            return False
    except OSError:
        return False
    kept = _read(folder)
    return all(key in kept and kept[key].text == text for key, text in language.load(code).phrases.items())


def write(rendered: dict[str, Rendered], folder: Path, voice: str | None = None) -> list[Path]:
    """Writes each phrase as <key>.wav (8 kHz mono S16) into `folder`, and then words.json, each whole.

    The name of their `voice` comes last, for `are_complete`. Returns the WAV files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Until all is there, it is nobody's: a rendering that was cut short is done again.
    (folder / _VOICE).unlink(missing_ok=True)
    written = [_write_wav(folder / f"{key}.wav", phrase.pcm) for key, phrase in rendered.items()]
    listed = {
        key: {"text": phrase.text, "words": [[w.text, w.start_ms, w.end_ms] for w in phrase.words]}
        for key, phrase in rendered.items()
    }
    partial = folder / f"{_WORDS}.part"
    partial.write_text(json.dumps(listed, ensure_ascii=False, indent=1), encoding="utf-8")
    partial.replace(folder / _WORDS)
    if voice is not None:
        (folder / _VOICE).write_text(voice, encoding="utf-8")
    return written


def _read(folder: Path) -> dict[str, Rendered]:
    """What `write` left in `folder`; nothing where that cannot be read."""
    try:
        listed = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
        return {key: _read_one(folder / f"{key}.wav", said) for key, said in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, EOFError, wave.Error) as error:
        log.warning("phrases are rendered anew, those in %s cannot be read: %s", folder, error)
        return {}


def _read_one(path: Path, said: dict[str, Any]) -> Rendered:
    with wave.open(str(path), "rb") as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE_HZ, 1, 2):
            raise ValueError(f"{path.name} must be 8000 Hz, 1 channel, 16 bit")
        pcm = file.readframes(file.getnframes())
    words = (pb.SpokenWord(text=text, start_ms=start, end_ms=end) for text, start, end in said["words"])
    return Rendered(said["text"], pcm, tuple(words))


def _write_wav(path: Path, pcm: bytes) -> Path:
    partial = path.with_suffix(".part")
    with wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)
    return partial.replace(path)
