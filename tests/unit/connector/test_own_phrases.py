"""What the connector plays by itself, in the language of the number called."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import pytest

from tellerline.connector.commands import Phrase
from tellerline.connector.lane import Lane
from tellerline.connector.stream import Pipeline
from tellerline.settings import ConnectorSettings


@pytest.mark.parametrize(("called", "heard"), [("turkce", b"tr"), ("tellerline", b"en"), ("", b"en")])
async def test_the_number_called_chooses_the_phrases(tmp_path: Path, called: str, heard: bytes) -> None:
    phrases = {
        number: dict.fromkeys(Phrase, language) for number, language in (("", b"en"), ("turkce", b"tr"))
    }
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/none") as channel:
        settings = ConnectorSettings(spool=tmp_path / "spool")
        lane = Lane(settings, Pipeline(channel), phrases, asyncio.get_running_loop())
        assert lane.phrase(Phrase.APOLOGY, called) == heard
