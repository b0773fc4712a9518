"""pipecat services over the engine: language model and speech synthesis."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import Any

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from pipecat.frames.frames import (
    AggregatedTextFrame,
    EagerEndOfTurnCancelFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseStartFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.base_llm import BaseOpenAILLMService
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.utils.text.base_text_aggregator import TextType

from tellerline.errors import LanguageModelError, SynthesisError
from tellerline.monitoring import metrics
from tellerline.pipeline.call import Call
from tellerline.pipeline.clauses import ClauseAggregator
from tellerline.pipeline.flows.events import Unserved
from tellerline.pipeline.frames import UnservedFrame
from tellerline.pipeline.guards import is_enough
from tellerline.pipeline.phrases import Phrases
from tellerline.pipeline.providers.ports import Clause, Question
from tellerline.pipeline.voice import without_trailing_silence
from tellerline.rpc import engine_pb2 as pb

RATE_HZ = 8000
# The model is shown this many of the newest messages, at most; reading 237 tokens anew took
# 0.95 s on the (busy) two-core box.
CONTEXT_MESSAGES = 12
# Two sentences fit; a rambling model is not left running behind the ramble guard.
MAX_TOKENS = 60
# Of the voice's own pace, for a caller who asked to be spoken to more slowly.
SLOW_SPEED = 0.8
_NOT_FOR_THE_MODEL = (
    "apology",
    "resumed",
    "still_there",
    "not_heard",
    "no_figures",
    "no_secrets",
    "no_promises",
    "nobody_free",
)
# A piece that ends otherwise was cut inside a clause: its voice must not pause there.
_PAUSES = (".", "!", "?", ",", ";", ":", "–", "—")


class EngineLLMService(BaseOpenAILLMService):
    """The engine's language model as a pipecat (OpenAI-style) service.

    Text of a speculative inference leaves at once, to be synthesised behind SpeechGate; pipecat's own
    gate still withdraws speculative tool calls.
    """

    def __init__(self, call: Call) -> None:
        super().__init__(settings=BaseOpenAILLMService.Settings(model="engine"))
        self._call = call

    def create_client(self, *_: Any, **__: Any) -> None:
        """No HTTP client: the engine is spoken to over gRPC."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Marks when thinking starts."""
        if isinstance(frame, LLMContextFrame) and direction is FrameDirection.DOWNSTREAM:
            self._call.clock.mark("thinking_started", time.monotonic_ns())
        await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Lets text past pipecat's gate, which only sees the verdicts it needs for tool calls."""
        if isinstance(frame, SystemFrame):
            await super().push_frame(frame, direction)
        else:
            await FrameProcessor.push_frame(self, frame, direction)

    async def get_chat_completions(  # type: ignore[override]
        self, context: LLMContext
    ) -> AsyncIterator[ChatCompletionChunk]:
        """The engine's answer to `context` as OpenAI chunks."""
        return self._chunks(context)

    async def _chunks(self, context: LLMContext) -> AsyncIterator[ChatCompletionChunk]:
        answer = self._generate(_messages(context, self._call.phrases), MAX_TOKENS)
        self._call.answer_cut = False
        said = ""
        try:
            async for text in answer:
                said += text
                yield _chunk(text)
                if self._call.answer_cut or is_enough(said):
                    break
        except LanguageModelError:
            metrics.PIPELINE_TURNS.labels("model_failed").inc()
        finally:
            await answer.aclose()
        if not said.strip():
            await self.push_frame(UnservedFrame(event=Unserved("language_model")), FrameDirection.UPSTREAM)

    def _generate(self, messages: list[pb.Message], max_tokens: int) -> AsyncGenerator[str, None]:
        question = Question(self._call.speaker, tuple(messages), max_tokens)
        seconds = self._call.settings.limits.turn_deadline_ms / 1000
        return self._call.providers.answer(question, seconds)

    async def warm(self, context: LLMContext) -> None:
        """Has the model read the conversation up to here, so that the next turn costs only its own words.

        What was heard is seldom what was generated: an answer is cut, interrupted, or a phrase.
        """
        if not self._call.providers.thinks_here(self._call.speaker):
            return
        with contextlib.suppress(LanguageModelError):
            async for _ in self._generate(_messages(context, self._call.phrases), 1):
                pass


def _messages(context: LLMContext, phrases: Phrases) -> list[pb.Message]:
    spoken: list[pb.Message] = []
    for message in context.get_messages():
        if not isinstance(message, dict) or not isinstance(content := message.get("content"), str):
            continue
        assistant = message["role"] == "assistant"
        if assistant:
            # A small model takes an apology for the way it answers, and gives it again.
            for key in _NOT_FOR_THE_MODEL:
                content = content.replace(phrases.text(key), "")
        if content.strip():
            spoken.append(pb.Message(role="assistant" if assistant else "user", content=content.strip()))
    return recent(spoken)


def recent(messages: list[pb.Message]) -> list[pb.Message]:
    """The newest messages. The start moves only every `CONTEXT_MESSAGES`
    messages: each move empties the model's cache of the conversation."""
    start = max(0, len(messages) - CONTEXT_MESSAGES)
    start = -(-start // CONTEXT_MESSAGES) * CONTEXT_MESSAGES
    return messages[start:]


def _chunk(text: str) -> ChatCompletionChunk:
    choice = Choice(delta=ChoiceDelta(content=text), index=0)
    return ChatCompletionChunk(
        id="", choices=[choice], created=0, model="engine", object="chat.completion.chunk"
    )


class EngineTTSService(TTSService):
    """The engine's voice as a pipecat service: clause first, fixed phrases from memory.

    Each word's text frame follows its audio, so an interruption leaves in the context what was played.
    """

    def __init__(self, call: Call) -> None:
        super().__init__(
            sample_rate=RATE_HZ,
            push_start_frame=True,
            push_stop_frames=True,
            push_text_frames=True,
            max_consecutive_zero_audio_contexts=0,
            # An answer may wait for the model between clauses; its context must not end meanwhile.
            stop_frame_timeout_s=10.0,
            settings=TTSSettings(model="engine", voice=None, language=None),
        )
        self._call = call
        self._clauses = ClauseAggregator(call.language, lambda key: call.phrases.text(key), self._guarded)
        self._text_aggregator = self._clauses  # type: ignore[assignment]
        # The voice failed in the answer under way.
        self._mute = False

    def _guarded(self, guard: str) -> None:
        metrics.PIPELINE_GUARDED.labels(guard).inc()
        self._call.answer_cut = True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """A withdrawn speculation stops synthesis as an interruption would."""
        if isinstance(frame, LLMFullResponseStartFrame):
            self._clauses.speak(self._call.language)
            self._mute = False
        if isinstance(frame, EagerEndOfTurnCancelFrame):
            await self._start_interruption()  # type: ignore[no-untyped-call]
            await self._handle_interruption(InterruptionFrame(), direction)
        await super().process_frame(frame, direction)

    async def _push_spoken_text(
        self, src_frame: AggregatedTextFrame, text: str, context_id: str, append_to_context: bool
    ) -> None:
        # Words were interleaved with the audio by run_tts; only the ordering slot is left to complete.
        for frame in self._aggregated_frame_sequencer.complete_spoken_slot():
            await self.push_frame(frame)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Audio of one clause with its words in place."""
        clock = self._call.clock
        clock.mark("first_clause", time.monotonic_ns())
        append = self._tts_contexts[context_id].append_to_context
        self._call.queued_text.append(text.strip())
        phrase, slowly = self._call.phrases.find(text.strip()), self._call.slowly
        speaker = self._call.speaker
        if self._mute and phrase is None:
            return
        if phrase is not None and not slowly and self._call.providers.speaks_here(speaker):
            for frame in interleaved(phrase.pcm, phrase.words, 0, context_id, append):
                yield frame
            return
        sent_ms = 0
        speed = SLOW_SPEED if slowly else 1.0
        clause = Clause(speaker, text.strip(), speed, fixed=phrase is not None and not slowly)
        stream = self._call.providers.speak(clause)
        try:
            async for reply in stream:
                pcm = reply.pcm if text.rstrip().endswith(_PAUSES) else without_trailing_silence(reply.pcm)
                for frame in interleaved(pcm, reply.words, sent_ms, context_id, append):
                    yield frame
                sent_ms += len(pcm) * 1000 // (2 * RATE_HZ)
        except SynthesisError:
            metrics.PIPELINE_TURNS.labels("synthesis_failed").inc()
            if phrase is None:
                # What follows would fail as well, each clause after its own wait.
                self._mute = True
                await self.push_frame(UnservedFrame(event=Unserved("synthesis")), FrameDirection.UPSTREAM)
            elif not sent_ms:
                for frame in interleaved(phrase.pcm, phrase.words, 0, context_id, append):
                    yield frame
        finally:
            await stream.aclose()


def interleaved(
    pcm: bytes, words: Iterable[pb.SpokenWord], from_ms: int, context_id: str, append_to_context: bool
) -> Iterator[Frame]:
    """Frames of `pcm` (which starts `from_ms` into the reply), each word's text right after its audio."""
    done = 0
    for word in words:
        end = min(len(pcm), max(done, (word.end_ms - from_ms) * RATE_HZ // 1000 * 2))
        if end > done:
            yield TTSAudioRawFrame(pcm[done:end], RATE_HZ, 1, context_id=context_id)
            done = end
        frame = TTSTextFrame(word.text, TextType.WORD, context_id=context_id)
        frame.append_to_context = append_to_context
        yield frame
    if done < len(pcm):
        yield TTSAudioRawFrame(pcm[done:], RATE_HZ, 1, context_id=context_id)
