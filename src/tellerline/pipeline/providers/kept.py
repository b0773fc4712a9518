"""Keeps what a voice elsewhere made of fixed phrases: sent there once, and spoken from memory ever after."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from tellerline.pipeline.providers.ports import Clause, Voice
from tellerline.rpc import engine_pb2 as pb


class KeepingVoice:
    """A voice with a memory for fixed phrases, which are as many as the languages have."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._kept: dict[tuple[str, str, float], tuple[pb.SynthesizeReply, ...]] = {}

    def kept(self, clause: Clause) -> tuple[pb.SynthesizeReply, ...]:
        """What was made of this phrase before; nothing where it was not, or is no fixed phrase."""
        return self._kept.get(_key(clause), ()) if clause.fixed else ()

    async def speak(self, clause: Clause) -> AsyncGenerator[pb.SynthesizeReply, None]:
        """As Voice.speak."""
        made: list[pb.SynthesizeReply] = []
        async with contextlib.aclosing(self._voice.speak(clause)) as replies:
            async for reply in replies:
                made.append(reply)
                yield reply
        if clause.fixed:
            self._kept[_key(clause)] = tuple(made)


def _key(clause: Clause) -> tuple[str, str, float]:
    return clause.speaker.words.code, clause.text, clause.speed
