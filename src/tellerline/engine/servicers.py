"""Wire ⇄ ports: the five services of engine.proto, and what an error becomes on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
from collections.abc import AsyncIterator, Iterable

import grpc

from tellerline.engine.admission import Slots, TurnTimes
from tellerline.engine.asr.port import Heard, Recognizer, Utterance
from tellerline.engine.llm.port import Ending, LanguageModel, Message, Prompt, PromptError, Sampling
from tellerline.engine.router.router import IntentRouter
from tellerline.engine.tts.port import Synthesizer
from tellerline.errors import (
    LanguageModelError,
    RecognitionError,
    RoutingError,
    SynthesisError,
    TellerlineError,
)
from tellerline.monitoring import metrics
from tellerline.rpc import engine_pb2, engine_pb2_grpc

log = logging.getLogger(__name__)

_ERRORS: dict[str, type[TellerlineError]] = {
    "recognition": RecognitionError,
    "language_model": LanguageModelError,
    "synthesis": SynthesisError,
    "routing": RoutingError,
}


@contextlib.asynccontextmanager
async def _reported(context: grpc.aio.ServicerContext, stage: str) -> AsyncIterator[None]:
    """Turns an error of a stage into a gRPC status. Error texts carry no words of a caller."""
    try:
        yield
    except PromptError as error:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except Exception as error:
        coded = error if isinstance(error, TellerlineError) else _unexpected(stage, error)
        metrics.ENGINE_ERRORS.labels(stage).inc()
        log.error("%s", coded)
        await context.abort(grpc.StatusCode.INTERNAL, str(coded))


def _unexpected(stage: str, error: Exception) -> TellerlineError:
    """The stage's own error for one nobody foresaw, whose text may quote a caller and is kept back."""
    name, where = type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
    log.error("unexpected %s:\n%s", name, where)
    return _ERRORS[stage](f"{stage}: failed unexpectedly ({name}); the engine's log says where")


class EngineServicer(engine_pb2_grpc.EngineServicer):
    """Slots of calls."""

    def __init__(self, slots: Slots, language_model: LanguageModel) -> None:
        self._slots = slots
        self._language_model = language_model

    async def Reserve(
        self, request: engine_pb2.ReserveRequest, context: grpc.aio.ServicerContext
    ) -> engine_pb2.ReserveReply:
        """Takes or refreshes a slot."""
        if not request.call_id:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "engine: Reserve needs a call_id")
        answer = self._slots.reserve(request.call_id)
        return engine_pb2.ReserveReply(
            reserved=answer.reserved,
            reason=answer.reason,
            free_slots=answer.free_slots,
            retry_after_seconds=answer.retry_after_seconds,
        )

    async def Release(
        self, request: engine_pb2.ReleaseRequest, context: grpc.aio.ServicerContext
    ) -> engine_pb2.ReleaseReply:
        """Gives back the slot and the call's conversation cache."""
        self._slots.release(request.call_id)
        self._language_model.forget(request.call_id)
        return engine_pb2.ReleaseReply()


class RecognitionServicer(engine_pb2_grpc.RecognitionServicer):
    """Utterances in, transcripts out."""

    def __init__(
        self, recognizers: dict[str, Recognizer], by_language: dict[str, str], times: TurnTimes
    ) -> None:
        self._recognizers = recognizers
        self._by_language = by_language
        self._times = times

    async def Recognize(
        self, requests: AsyncIterator[engine_pb2.RecognizeRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[engine_pb2.RecognizeReply]:
        """One utterance. A Finalize supersedes the one before it."""
        replies: asyncio.Queue[engine_pb2.RecognizeReply | BaseException | None] = asyncio.Queue()
        listening = asyncio.create_task(self._listen(requests, replies))
        try:
            async with _reported(context, "recognition"):
                while (reply := await replies.get()) is not None:
                    if isinstance(reply, BaseException):
                        raise reply
                    yield reply
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(
        self,
        requests: AsyncIterator[engine_pb2.RecognizeRequest],
        replies: asyncio.Queue[engine_pb2.RecognizeReply | BaseException | None],
    ) -> None:
        utterance: Utterance | None = None
        deciding: asyncio.Task[None] | None = None
        try:
            async for request in requests:
                kind = request.WhichOneof("request")
                if kind == "start":
                    utterance = self._open(request.start)
                elif utterance is None:
                    raise PromptError("recognition: the first message of a stream must be start")
                elif kind == "audio":
                    partial = await utterance.hear(request.audio)
                    if partial is not None:
                        replies.put_nowait(_transcript(request, Heard(partial), final=False))
                elif kind == "finalize":
                    if deciding is not None:
                        deciding.cancel()
                    deciding = asyncio.create_task(self._finalize(utterance, request, replies))
            if deciding is not None:
                await deciding
            replies.put_nowait(None)
        except Exception as error:
            replies.put_nowait(error)
        finally:
            if deciding is not None:
                deciding.cancel()
            if utterance is not None:
                utterance.close()

    def _open(self, start: engine_pb2.RecognizeStart) -> Utterance:
        if start.engine not in self._recognizers:
            known = ", ".join(sorted(self._recognizers.keys() - {""}))
            raise PromptError(f"recognition: no engine {start.engine!r} here; there are: {known}")
        try:
            name = start.engine or self._by_language.get(_primary(start.language), "")
            return self._recognizers[name].open(start.language, start.partials)
        except RecognitionError as error:
            raise PromptError(str(error)) from error

    async def _finalize(
        self,
        utterance: Utterance,
        request: engine_pb2.RecognizeRequest,
        replies: asyncio.Queue[engine_pb2.RecognizeReply | BaseException | None],
    ) -> None:
        try:
            heard = await utterance.finalize()
        except Exception as error:
            # Whoever waits for the transcript must hear of it: this task has no other reader.
            replies.put_nowait(error)
            return
        metrics.ENGINE_QUEUE_SECONDS.labels("recognition").observe(heard.queued_ms / 1000)
        metrics.ENGINE_STAGE_SECONDS.labels("recognition").observe(heard.decode_ms / 1000)
        self._times.observe("recognition", (heard.queued_ms + heard.decode_ms) / 1000)
        if not heard.text:
            metrics.ENGINE_NOT_SPEECH.inc()
        replies.put_nowait(_transcript(request, heard, final=True))


def _primary(language: str) -> str:
    """The primary subtag of a BCP 47 tag: "tr" of "tr-TR"."""
    return language.lower().split("-")[0]


def _transcript(request: engine_pb2.RecognizeRequest, heard: Heard, final: bool) -> engine_pb2.RecognizeReply:
    return engine_pb2.RecognizeReply(
        call_id=request.call_id,
        turn_id=request.turn_id,
        transcript=engine_pb2.Transcript(
            sequence=request.finalize.sequence if final else 0,
            final=final,
            text=heard.text,
            avg_logprob=heard.avg_logprob,
            no_speech_prob=heard.no_speech_prob,
            compression_ratio=heard.compression_ratio,
            audio_ms=heard.audio_ms,
            decode_ms=heard.decode_ms,
            queued_ms=heard.queued_ms,
        ),
    )


class LanguageModelServicer(engine_pb2_grpc.LanguageModelServicer):
    """Prefixes and generations."""

    def __init__(self, model: LanguageModel, times: TurnTimes, default_tokens: int) -> None:
        self._model = model
        self._times = times
        self._default_tokens = default_tokens

    async def OpenPrefix(
        self, request: engine_pb2.OpenPrefixRequest, context: grpc.aio.ServicerContext
    ) -> engine_pb2.OpenPrefixReply:
        """Evaluates a prompt beginning once."""
        async with _reported(context, "language_model"):
            prefix = await self._model.open_prefix(_messages(request.messages))
            return engine_pb2.OpenPrefixReply(prefix=prefix.handle, tokens=prefix.tokens)

    async def Generate(
        self, request: engine_pb2.GenerateRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[engine_pb2.GenerateReply]:
        """Streams an answer; cancelling stops the model at the next token."""
        wanted = request.sampling
        prompt = Prompt(
            call_id=request.call_id,
            messages=_messages(request.messages),
            prefix=request.prefix,
            sampling=Sampling(
                max_tokens=wanted.max_tokens or self._default_tokens,
                temperature=wanted.temperature,
                top_p=wanted.top_p,
                seed=wanted.seed,
                stop=tuple(wanted.stop),
            ),
            grammar=request.grammar,
            json_schema=request.json_schema,
        )
        async with (
            _reported(context, "language_model"),
            contextlib.aclosing(self._model.generate(prompt)) as events,
        ):
            async for event in events:
                reply = engine_pb2.GenerateReply(call_id=request.call_id, turn_id=request.turn_id)
                if isinstance(event, Ending):
                    self._times.observe("first_token", (event.queued_ms + event.first_token_ms) / 1000)
                    reply.end.CopyFrom(_ending(event))
                else:
                    reply.text = event
                yield reply


def _messages(messages: Iterable[engine_pb2.Message]) -> tuple[Message, ...]:
    return tuple(Message(message.role, message.content) for message in messages)


def _ending(end: Ending) -> engine_pb2.GenerateEnd:
    return engine_pb2.GenerateEnd(
        finish_reason=end.finish_reason,
        prompt_tokens=end.prompt_tokens,
        cached_tokens=end.cached_tokens,
        generated_tokens=end.generated_tokens,
        first_token_ms=end.first_token_ms,
        total_ms=end.total_ms,
        queued_ms=end.queued_ms,
    )


class SynthesisServicer(engine_pb2_grpc.SynthesisServicer):
    """Text in, audio out."""

    _DEFAULT_RATE_HZ = 8000
    _RATES_HZ = (8000, 16000, 22050, 24000, 48000)

    def __init__(
        self, voices: dict[str, Synthesizer], by_language: dict[str, Synthesizer], times: TurnTimes
    ) -> None:
        self._voices = voices
        self._by_language = by_language
        self._times = times

    async def Synthesize(
        self, request: engine_pb2.SynthesizeRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[engine_pb2.SynthesizeReply]:
        """Streams a text sentence by sentence; cancelling stops before the next one."""
        rate_hz = request.rate_hz or self._DEFAULT_RATE_HZ
        if request.voice not in self._voices or rate_hz not in self._RATES_HZ:
            known = ", ".join(sorted(self._voices.keys() - {""}))
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"synthesis: voice {request.voice!r} at {rate_hz} Hz is not here; voices: {known}; "
                f"rates: {', '.join(map(str, self._RATES_HZ))}",
            )
        asked: float | None = time.perf_counter()
        voice = self._voices[request.voice]
        if not request.voice:
            voice = self._by_language.get(_primary(request.language), voice)
        spoken = voice.synthesize(request.text, request.speed or 1.0, rate_hz, request.fixed_phrase)
        async with _reported(context, "synthesis"), contextlib.aclosing(spoken) as sentences:
            async for sentence in sentences:
                if asked is not None and not sentence.cached:
                    self._times.observe("synthesis_first", time.perf_counter() - asked)
                asked = None
                yield engine_pb2.SynthesizeReply(
                    call_id=request.call_id,
                    turn_id=request.turn_id,
                    pcm=sentence.pcm,
                    words=[
                        engine_pb2.SpokenWord(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms)
                        for word in sentence.words
                    ],
                    cached=sentence.cached,
                )


class RouterServicer(engine_pb2_grpc.RouterServicer):
    """A caller's words in, intents out."""

    _MOST_GUESSES = 5

    def __init__(self, router: IntentRouter) -> None:
        self._router = router

    async def Route(
        self, request: engine_pb2.RouteRequest, context: grpc.aio.ServicerContext
    ) -> engine_pb2.RouteReply:
        """The likeliest intents of a sentence."""
        if not self._router.knows(request.language):
            known = ", ".join(self._router.languages) or "none"
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"routing: no router for language {request.language!r} here; there are: {known}",
            )
        async with _reported(context, "routing"):
            routed = await self._router.route(request.text, request.language)
            metrics.ENGINE_QUEUE_SECONDS.labels("routing").observe(routed.queued_ms / 1000)
            metrics.ENGINE_STAGE_SECONDS.labels("routing").observe(routed.work_ms / 1000)
            guesses = routed.guesses[: self._MOST_GUESSES]
            return engine_pb2.RouteReply(
                guesses=[engine_pb2.IntentGuess(intent=g.intent, probability=g.probability) for g in guesses],
                accepted=routed.accepted,
            )
