"""The folder of phrases a connector can play by itself, named by their texts and their voice."""

from __future__ import annotations

import array
import hashlib
import math
import shutil
import subprocess
import sys
import tempfile
import wave
from importlib import resources
from pathlib import Path

from tellerline.errors import StackError

_RATE_HZ = 8000
# What a folder holds beside its WAV files; those of earlier releases held nothing.
_WITH_WORDS = b"words.json"


def folder(parent: Path, voice: str, code: str = "en") -> Path:
    """Where the phrases of language `code` by `voice` belong below `parent`; another text, another folder."""
    texts = resources.files("tellerline.language").joinpath(f"{code}/phrases.yml").read_bytes()
    return parent / f"{code}-{hashlib.sha256(_WITH_WORDS + texts + voice.encode()).hexdigest()[:12]}"


def render(target: Path, engine_socket: Path, code: str = "en") -> None:
    """Renders every phrase of `code` through a running engine into the new folder `target`, all or nothing.

    Raises StackError when the engine does not speak them.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".rendering-", dir=target.parent) as made:
        phrases = Path(made) / "phrases"
        command = (sys.executable, "-m", "tellerline", "phrases", "render")
        where = ("--engine", str(engine_socket), "--out", str(phrases), "--language", code)
        done = subprocess.run((*command, *where), capture_output=True, text=True)
        if done.returncode != 0:
            raise StackError(f"phrases: rendering failed: {done.stderr.strip()}")
        # Another stack may have rendered the same meanwhile.
        if not target.is_dir():
            shutil.move(phrases, target)


def tones(target: Path) -> Path:
    """Half a second of tone for each phrase: without an engine nobody can speak them."""
    target.mkdir(parents=True, exist_ok=True)
    step = 2 * math.pi * 440 / _RATE_HZ
    pcm = array.array("h", (int(8000 * math.sin(step * n)) for n in range(_RATE_HZ // 2))).tobytes()
    for key in ("apology", "goodbye"):
        with wave.open(str(target / f"{key}.wav"), "wb") as file:
            file.setparams((1, 2, _RATE_HZ, 0, "NONE", "not compressed"))
            file.writeframes(pcm)
    return target
