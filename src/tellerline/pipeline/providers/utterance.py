"""One utterance heard by the providers of a site in their order; to the listener it is one recogniser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tellerline.pipeline.providers.chain import Late, Provider
from tellerline.pipeline.providers.ports import Hearing, Recogniser, Speaker
from tellerline.rpc import engine_pb2 as pb

# What is kept for whoever comes next: recognisers look at no more than 30 s.
_KEPT_BYTES = 30 * 8000 * 2
_LAST_SECONDS = 10.0


class Utterance:
    """Audio in, a transcript for each finalise; None to `heard` when nobody has one."""

    def __init__(
        self,
        line: Sequence[Provider[Recogniser]],
        speaker: Speaker,
        heard: Callable[[pb.Transcript | None], None],
        patience_seconds: float,
    ) -> None:
        self._line = line
        self._speaker = speaker
        self._heard = heard
        self._patience_seconds = patience_seconds
        self._pcm = bytearray()
        # Index into the line → the utterance there; the first hears the audio as it comes.
        self._open: dict[int, Hearing] = {0: line[0].port.open(speaker)}
        self._asking: asyncio.Task[None] | None = None

    def audio(self, pcm: bytes) -> None:
        """Adds caller audio: S16LE at 8 kHz, any length."""
        self._pcm += pcm
        del self._pcm[: max(0, len(self._pcm) - _KEPT_BYTES)]
        for hearing in self._open.values():
            hearing.audio(pcm)

    def finalise(self, sequence: int) -> None:
        """Asks for the text of all audio so far; supersedes an unanswered request."""
        if self._asking is not None:
            self._asking.cancel()
        self._asking = asyncio.create_task(self._ask(sequence))

    def close(self) -> None:
        """Ends the utterance; nothing more is heard from it."""
        self._heard = lambda _: None
        if self._asking is not None:
            self._asking.cancel()
        for hearing in self._open.values():
            hearing.close()

    async def _ask(self, sequence: int) -> None:
        for index, provider in enumerate(self._line):
            last = index == len(self._line) - 1
            patience_seconds = _LAST_SECONDS if last else self._patience_seconds
            try:
                async with provider.asked(last) as asked:
                    try:
                        async with asyncio.timeout(patience_seconds):
                            transcript = await self._hearing(index).text(sequence)
                    except TimeoutError as error:
                        raise Late(f"nothing came for {patience_seconds:.1f} s") from error
                    asked.answer()
            except Exception:
                # Told by `asked`; whatever it was, the caller waits.
                continue
            self._heard(transcript)
            return
        self._heard(None)

    def _hearing(self, index: int) -> Hearing:
        if index not in self._open:
            self._open[index] = self._line[index].port.open(self._speaker)
            self._open[index].audio(bytes(self._pcm))
        return self._open[index]
