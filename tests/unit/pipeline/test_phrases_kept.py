"""Rendered phrases on disk: read back as they were, and only where they still say what the language says."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tellerline import language
from tellerline.errors import SynthesisError
from tellerline.pipeline import phrases
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.phrases import Rendered
from tellerline.rpc import engine_pb2 as pb

TURKISH = language.load("tr")


class _Silent:
    """An engine that has to speak, and does not."""

    def synthesise(self, text: str, **_: object) -> object:
        raise SynthesisError(text)


ENGINE = cast(Engine, _Silent())


def rendered(text: str) -> Rendered:
    words = (pb.SpokenWord(text="Merhaba,", start_ms=10, end_ms=400),)
    return Rendered(text, text.encode("utf-16-le"), words)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    phrases.write({key: rendered(text) for key, text in TURKISH.phrases.items()}, tmp_path)
    return tmp_path


async def test_what_was_written_is_not_spoken_again(folder: Path) -> None:
    read = await phrases.render(ENGINE, TURKISH, folder)
    assert read == {key: rendered(text) for key, text in TURKISH.phrases.items()}


async def test_other_words_are_spoken_anew(folder: Path) -> None:
    listed = folder / "words.json"
    listed.write_text(listed.read_text().replace(TURKISH.phrases["apology"], "Eski bir cümle."))
    with pytest.raises(SynthesisError, match=TURKISH.phrases["apology"]):
        await phrases.render(ENGINE, TURKISH, folder)


@pytest.mark.parametrize("broken", ["words.json", "greeting.wav"])
async def test_a_broken_folder_is_no_folder(folder: Path, broken: str) -> None:
    (folder / broken).write_bytes(b"[1, 2")
    with pytest.raises(SynthesisError):
        await phrases.render(ENGINE, TURKISH, folder)


def test_phrases_are_complete_by_the_voice_that_spoke_all_of_them(tmp_path: Path) -> None:
    all_of_them = {key: rendered(text) for key, text in TURKISH.phrases.items()}
    phrases.write(all_of_them, tmp_path, voice="dfki")
    assert phrases.are_complete(tmp_path, "tr", "dfki")
    assert not phrases.are_complete(tmp_path, "tr", "fahrettin")
    assert not phrases.are_complete(tmp_path, "en", "dfki")
    (tmp_path / "greeting.wav").unlink()
    assert not phrases.are_complete(tmp_path, "tr", "dfki")
    # Nobody said whose voice these are.
    phrases.write(all_of_them, tmp_path)
    assert not phrases.are_complete(tmp_path, "tr", "dfki")
