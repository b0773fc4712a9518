"""The engine as a provider of every kind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from tellerline.errors import RecognitionError
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.providers.ports import Clause, Doubt, Hearing, Question, Speaker
from tellerline.rpc import engine_pb2 as pb


class LocalChat:
    """The engine's language model."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def answer(self, question: Question, seconds: float) -> AsyncGenerator[str, None]:
        """As Chat.answer. The engine knows the prompt, and puts it in front."""
        asker = question.asker
        sampling = pb.Sampling(max_tokens=question.max_tokens)
        stream = self._engine.generate(
            asker.call_id, asker.turn_id, list(question.messages), sampling, seconds
        )
        async with contextlib.aclosing(stream) as pieces:
            async for piece in pieces:
                yield piece

    async def choose(self, doubt: Doubt, seconds: float) -> str:
        """As Chat.choose, under a grammar."""
        return await self._engine.choose(doubt.asker.call_id, doubt.text, doubt.among, seconds)


class LocalVoice:
    """The engine's voices."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def speak(self, clause: Clause) -> AsyncGenerator[pb.SynthesizeReply, None]:
        """As Voice.speak."""
        stream = self._engine.synthesise(
            clause.text,
            clause.speaker.call_id,
            clause.speaker.turn_id,
            speed=clause.speed,
            code=clause.speaker.words.code,
        )
        async with contextlib.aclosing(stream) as replies:
            async for reply in replies:
                yield reply


class LocalRecogniser:
    """The engine's recognisers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self, speaker: Speaker) -> Hearing:
        """As Recogniser.open."""
        return _LocalHearing(self._engine, speaker)


class _LocalHearing:
    """An utterance of the engine, asked for texts one at a time."""

    def __init__(self, engine: Engine, speaker: Speaker) -> None:
        self._gone = False
        self._wanted: tuple[int, asyncio.Future[pb.Transcript]] | None = None
        self._utterance = engine.recognise(
            speaker.call_id, speaker.turn_id, speaker.words.code, self._on_transcript
        )

    def audio(self, pcm: bytes) -> None:
        self._utterance.audio(pcm)

    async def text(self, sequence: int) -> pb.Transcript:
        if self._gone:
            raise RecognitionError("recognition: the engine's stream has ended")
        answer: asyncio.Future[pb.Transcript] = asyncio.get_running_loop().create_future()
        self._wanted = (sequence, answer)
        self._utterance.finalise(sequence)
        return await answer

    def close(self) -> None:
        self._utterance.close()

    def _on_transcript(self, transcript: pb.Transcript | None) -> None:
        if transcript is None:
            self._gone = True
        if self._wanted is None or self._wanted[1].done():
            return
        sequence, answer = self._wanted
        if transcript is None:
            answer.set_exception(RecognitionError("recognition: the engine's stream has ended"))
        elif transcript.sequence == sequence:
            answer.set_result(transcript)
