"""Providers in the order of a site: each behind its breaker, the next where one fails or is late.

Whoever is last is asked whatever its breaker says, and for as long as the turn lasts: there is nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tellerline.breaker import Breaker, BreakerOpen
from tellerline.errors import LanguageModelError, SynthesisError, TellerlineError
from tellerline.monitoring import metrics
from tellerline.pipeline.providers.ports import Chat, Clause, Doubt, Question, Voice
from tellerline.rpc import engine_pb2 as pb

log = logging.getLogger(__name__)

_Port = TypeVar("_Port")
_Piece = TypeVar("_Piece")

# Between words that came before a provider broke off, and the next one's answer: a pause, no more.
_SEAM = " – "
_SENTENCE_ENDS = (".", "!", "?")
# The last in line is told to stop by the engine's own limits; this only bounds what hangs without any.
_LAST_SECONDS = 10.0


@dataclass(frozen=True)
class Provider(Generic[_Port]):
    """One provider of one kind, for all calls."""

    # Of settings.ProviderKind; "choosing" among intents is a language model's, behind a breaker of its own.
    kind: str
    name: str
    port: _Port
    breaker: Breaker

    def count(self, outcome: str) -> None:
        """Counts a request by how it ended."""
        metrics.PIPELINE_PROVIDER_REQUESTS.labels(self.kind, self.name, outcome).inc()

    @contextlib.asynccontextmanager
    async def asked(self, last: bool) -> AsyncIterator[_Asked]:
        """Around one request. Raises BreakerOpen, unless nobody else is left to ask."""
        asked = _Asked()
        try:
            async with contextlib.AsyncExitStack() as stack:
                try:
                    attempt = await stack.enter_async_context(self.breaker.attempt())
                except BreakerOpen:
                    if not last:
                        self.count("skipped")
                        raise
                else:
                    asked.on_answer = lambda: setattr(attempt, "answered", True)
                yield asked
        except BreakerOpen:
            raise
        except Exception as error:
            asked.answered = False
            self.count("late" if isinstance(error, Late) else "failed")
            # Our own errors carry no words of a caller; of others only the kind is told.
            told = error if isinstance(error, TellerlineError) else type(error).__name__
            log.warning("%s by %s failed: %s", self.kind, self.name, told)
            raise
        finally:
            if asked.answered:
                self.count("answered")


class _Asked:
    """A request under way."""

    def __init__(self) -> None:
        self.answered = False
        self.on_answer: Callable[[], None] = lambda: None

    def answer(self) -> None:
        """Something of the answer has come."""
        if not self.answered:
            self.answered = True
            self.on_answer()


class Late(TellerlineError):
    """A provider did not answer, or not go on, in the time it is given."""

    code = "late"


async def answer(
    line: Sequence[Provider[Chat]], question: Question, seconds: float, patience_seconds: float
) -> AsyncGenerator[str, None]:
    """The answer of the first that has one. Raises LanguageModelError when none has, or `seconds` pass.

    Words that were given cannot be taken back: a sentence that came whole stands as the answer, and after
    half a sentence comes the next one's answer.
    """
    until = time.monotonic() + seconds
    said = ""
    for provider in line:
        last = provider is line[-1]
        seam = _SEAM if said else ""
        try:
            async with provider.asked(last) as asked:
                stream = provider.port.answer(question, until - time.monotonic())
                pieces = patiently(stream, until - time.monotonic() if last else patience_seconds)
                async with contextlib.aclosing(pieces):
                    async for piece in pieces:
                        asked.answer()
                        yield seam + piece
                        seam, said = "", said + piece
                return
        except Exception:
            # Told by `asked`; whatever it was, the caller waits.
            if said.rstrip().endswith(_SENTENCE_ENDS):
                return
    raise LanguageModelError("language model: nobody answered")


async def choose(
    line: Sequence[Provider[Chat]], doubt: Doubt, seconds: float, patience_seconds: float
) -> str:
    """The pick of the first that names one of the intents; "" when nobody has within `seconds`.

    Whoever names another has answered, and is not asked to give way; the next one is asked all the same.
    """
    until = time.monotonic() + seconds
    for place, provider in enumerate(line):
        left = until - time.monotonic()
        last = provider is line[-1]
        # No more than its part of the time: the next one is to have some.
        share = left if last else min(patience_seconds, left / (len(line) - place))
        try:
            async with provider.asked(last) as asked:
                chosen = await _in_time(provider.port.choose(doubt, share), share)
                asked.answer()
        except Exception:
            # Told by `asked`.
            continue
        if chosen:
            return chosen
    return ""


async def speak(
    line: Sequence[Provider[Voice]], clause: Clause, patience_seconds: float
) -> AsyncGenerator[pb.SynthesizeReply, None]:
    """The clause, spoken by the first that can; what one leaves unsaid, the next one says.

    Raises SynthesisError when none can.
    """
    words = clause.text.split()
    spoken = sent_ms = 0
    for provider in line:
        last = provider is line[-1]
        rest = Clause(clause.speaker, " ".join(words[spoken:]), clause.speed, clause.fixed and not spoken)
        from_ms = sent_ms
        try:
            async with provider.asked(last) as asked:
                replies = patiently(provider.port.speak(rest), _LAST_SECONDS if last else patience_seconds)
                async with contextlib.aclosing(replies):
                    async for reply in replies:
                        asked.answer()
                        spoken += len(reply.words)
                        sent_ms += len(reply.pcm) // 16
                        yield _shifted(reply, from_ms)
                return
        except Exception:
            if words and spoken >= len(words):
                return
    raise SynthesisError("synthesis: nobody spoke")


async def _in_time(answer: Awaitable[str], seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError as error:
        raise Late(f"nothing came for {seconds:.1f} s") from error


async def patiently(
    stream: AsyncGenerator[_Piece, None], patience_seconds: float
) -> AsyncGenerator[_Piece, None]:
    """`stream`, each piece of it waited for no longer than `patience_seconds`. Raises Late."""
    try:
        while True:
            try:
                async with asyncio.timeout(patience_seconds):
                    piece = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise Late(f"nothing came for {patience_seconds:.1f} s") from error
            yield piece
    finally:
        await stream.aclose()


def _shifted(reply: pb.SynthesizeReply, by_ms: int) -> pb.SynthesizeReply:
    if not by_ms:
        return reply
    words = [
        pb.SpokenWord(text=word.text, start_ms=word.start_ms + by_ms, end_ms=word.end_ms + by_ms)
        for word in reply.words
    ]
    return pb.SynthesizeReply(call_id=reply.call_id, turn_id=reply.turn_id, pcm=reply.pcm, words=words)
