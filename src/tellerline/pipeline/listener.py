"""Hears the caller: voice activity, recognition and turn taking, as a pipecat speech-to-text service."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.turns.eager_end_of_turn_mixin import EagerEndOfTurnSTTServiceMixin
from pipecat.utils.time import time_now_iso8601

from tellerline.monitoring import metrics
from tellerline.pipeline import engine as local
from tellerline.pipeline import turn_events, turns
from tellerline.pipeline.call import Call
from tellerline.pipeline.flows.events import Silence, Unheard
from tellerline.pipeline.frames import (
    EventFrame,
    HangUpFrame,
    HeldFrame,
    PartingFrame,
    PausePlayoutFrame,
    ResumePlayoutFrame,
    TurnAbandonedFrame,
)
from tellerline.pipeline.providers.utterance import Utterance
from tellerline.pipeline.voice import WINDOW_BYTES, CallerVoice, TurnModel, trailing_silence_ms
from tellerline.rpc import conversation_pb2 as conversation
from tellerline.rpc import engine_pb2 as engine

SAMPLES_A_MS = 8
# Audio before the first voiced window: a soft first consonant is heard late by the voice model.
PRE_ROLL_MS = 300
# The turn model looks at 8 s at most.
TURN_AUDIO_BYTES = 8 * 8000 * 2
COMPLETE_PROBABILITY = 0.5
# The aggregator answers in a millisecond; a lost answer must not silence the caller for good.
FLOOR_SECONDS = 0.5


class Listener(EagerEndOfTurnSTTServiceMixin, STTService):
    """Speech-to-text with its own turn detection and eager end of turn, as pipecat knows it from Flux.

    Runs `turns.TurnTaking` on windows of 32 ms and does what it says. Caller audio ends here.
    """

    def __init__(self, call: Call, voice: CallerVoice, turn_model: TurnModel) -> None:
        super().__init__(
            enable_eager_end_of_turn=True,
            audio_passthrough=False,
            sample_rate=8000,
            ttfs_p99_latency=0.3,
            settings=STTSettings(model="engine", language=None),
        )
        self._call = call
        self._voice = voice
        self._turn_model = turn_model
        self._taking = turns.TurnTaking(call.settings.turns, call.settings.limits, call.language)
        self._pending = bytearray()
        # Audio of the last PRE_ROLL_MS and, during an utterance, all of it (bounded by TURN_AUDIO_BYTES).
        self._history = bytearray()
        self._heard_ms = 0
        self._heard_ns = 0
        self._utterance: Utterance | local.Utterance | None = None
        self._actions: asyncio.Queue[turn_events.Action | InputDTMFFrame | PartingFrame] = asyncio.Queue()
        # The call is being ended: nothing the caller does can keep it up.
        self._parting = False
        self._floor_taken = asyncio.Event()
        self._floor_given = asyncio.Event()
        self._turn_open = False
        self._actor: asyncio.Task[None] | None = None
        self._checks: deque[asyncio.Task[None]] = deque(maxlen=4)

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]
        """Starts doing what turn taking says."""
        await super().setup(setup)
        self._actor = self.create_task(self._act())

    async def cleanup(self) -> None:
        """Closes the utterance and stops."""
        if self._utterance is not None:
            self._utterance.close()
            self._utterance = None
        if self._actor is not None:
            actor, self._actor = self._actor, None
            await self.cancel_task(actor)
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Unused: recognition runs in streams of its own."""
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes caller audio out of the pipeline; notes when the floor was taken."""
        if isinstance(frame, InputAudioRawFrame):
            self._hear(frame.audio)
            return
        if isinstance(frame, (InputDTMFFrame, HeldFrame, PartingFrame)):
            if not self._parting:
                self._heed(frame)
            return
        if isinstance(frame, InterruptionFrame) and direction is FrameDirection.UPSTREAM:
            self._floor_taken.set()
        elif isinstance(frame, UserStoppedSpeakingFrame):
            self._floor_given.set()
        await super().process_frame(frame, direction)

    # ---- hearing

    def _heed(self, frame: InputDTMFFrame | HeldFrame | PartingFrame) -> None:
        """What happens to a call beside speech; behind its actions, so an open turn is closed first."""
        match frame:
            case InputDTMFFrame():
                self._handle(turn_events.KeyPressed())
                self._actions.put_nowait(frame)
            case HeldFrame(held=held):
                self._handle(turn_events.Held() if held else turn_events.Unheld())
            case PartingFrame():
                self._parting = True
                self._handle(turn_events.Held())
                self._actions.put_nowait(frame)

    def _hear(self, pcm: bytes) -> None:
        self._heard_ns = time.monotonic_ns()
        self._pending += pcm
        while len(self._pending) >= WINDOW_BYTES:
            window = bytes(self._pending[:WINDOW_BYTES])
            del self._pending[:WINDOW_BYTES]
            self._heard_ms += turns.WINDOW_MS
            self._history += window
            keep = TURN_AUDIO_BYTES if self._utterance else (PRE_ROLL_MS + 300) * SAMPLES_A_MS * 2
            if len(self._history) > keep:
                del self._history[: len(self._history) - keep]
            if self._utterance is not None:
                self._utterance.audio(window)
            probability = self._voice.probability(window)
            if self._taking.bot_may_echo and self._call.echo.explains(window, self._heard_ms):
                probability = 0.0
            self._call.heard_ms = self._heard_ms
            self._handle(
                turn_events.Window(
                    self._heard_ms, probability, self._call.bot_has_floor, self._call.caller_waits
                )
            )

    def _handle(self, event: turn_events.Event) -> None:
        for action in self._taking.handle(event):
            self._actions.put_nowait(action)

    def _on_transcript(self, transcript: engine.Transcript | None) -> None:
        if transcript is None:
            if self._utterance is not None:
                self._handle(turn_events.RecognitionFailed())
            return
        self._call.clock.mark("transcript", time.monotonic_ns())
        self._call.logprob = transcript.avg_logprob
        self._call.publish(
            caller_heard=conversation.CallerHeard(
                text=transcript.text,
                final=False,
                avg_logprob=transcript.avg_logprob,
                no_speech_prob=transcript.no_speech_prob,
            )
        )
        self._handle(
            turn_events.Transcript(
                self._heard_ms, transcript.sequence, transcript.text, transcript.avg_logprob
            )
        )

    # ---- acting

    async def _act(self) -> None:
        while True:
            await self._do(await self._actions.get())

    async def _do(self, action: turn_events.Action | InputDTMFFrame | PartingFrame) -> None:
        match action:
            case InputDTMFFrame():
                await self.push_frame(action)
            case PartingFrame():
                await self._part(action)
            case turn_events.StartRecognition(since_ms):
                self._start_recognition(since_ms)
            case turn_events.FinalizeRecognition(sequence):
                self._finalise(sequence)
            case turn_events.StopRecognition():
                if self._utterance is not None:
                    self._utterance.close()
                    self._utterance = None
            case turn_events.CheckTurn(sequence):
                task = self.create_task(self._check_turn(sequence, bytes(self._history)))
                self._checks.append(task)
            case turn_events.PausePlayout():
                self._barge_in(conversation.BargeIn.PAUSED)
                await self.push_frame(PausePlayoutFrame())
            case turn_events.ResumePlayout():
                self._barge_in(conversation.BargeIn.RESUMED)
                await self.push_frame(ResumePlayoutFrame())
            case turn_events.Interrupt():
                await self._take_floor()
            case turn_events.Speculate(text):
                await self._push_eager_end_of_turn(text, user_id="caller")
            case turn_events.Withdraw():
                self._call.clock.rethink()
                metrics.PIPELINE_WITHDRAWN.inc()
                await self._cancel_eager_end_of_turn()  # type: ignore[no-untyped-call]
            case turn_events.Confirm(text):
                await self._confirm(text)
            case turn_events.Abandon(why):
                await self._abandon(why)
            case turn_events.PromptSilentCaller(last):
                await self.push_frame(EventFrame(event=Silence(last)))

    def _start_recognition(self, since_ms: int) -> None:
        self._call.turn_id += 1
        self._call.facts.turn_id = self._call.turn_id
        self._taking.words = self._call.language
        self._utterance = self._call.providers.recognise(self._call.speaker, self._on_transcript)
        self._call.clock.withdrawn = 0
        length = (self._heard_ms - since_ms + PRE_ROLL_MS) * SAMPLES_A_MS * 2
        self._history = self._history[-length:]
        self._utterance.audio(bytes(self._history))

    def _finalise(self, sequence: int) -> None:
        if self._utterance is None:
            return
        now = time.monotonic_ns()
        self._utterance.finalise(sequence)
        silent_ms = min(trailing_silence_ms(bytes(self._history)), 200)
        self._call.clock.start(self._heard_ns - silent_ms * 1_000_000)
        self._call.clock.mark("recognition_started", now)

    async def _check_turn(self, sequence: int, pcm: bytes) -> None:
        probability = await self._turn_model.completeness(pcm)
        self._handle(turn_events.Verdict(self._heard_ms, sequence, probability >= COMPLETE_PROBABILITY))

    async def _take_floor(self) -> None:
        if self._call.bot_has_floor:
            self._barge_in(conversation.BargeIn.FLUSHED)
        self._turn_open = True
        # The aggregator answers with an interruption, which empties its queue: what we push before
        # that would be lost.
        await self._push_and_wait(ProposedUserStartedSpeakingFrame(), self._floor_taken)

    async def _push_and_wait(self, frame: Frame, done: asyncio.Event) -> None:
        done.clear()
        await self.push_frame(frame)
        try:
            await asyncio.wait_for(done.wait(), FLOOR_SECONDS)
        except TimeoutError:
            metrics.PIPELINE_TURNS.labels("floor_lost").inc()

    async def _confirm(self, text: str) -> None:
        self._call.clock.mark("confirmed", time.monotonic_ns())
        self._call.confirmed = text
        self._call.expect_answer()
        self._call.publish(caller_heard=conversation.CallerHeard(text=text, final=True))
        self._clear_eager_end_of_turn()  # type: ignore[no-untyped-call]
        self._turn_open = False
        await self.push_frame(TranscriptionFrame(text, "caller", time_now_iso8601(), finalized=True))
        await self.push_frame(ProposedUserStoppedSpeakingFrame())

    async def _abandon(self, why: str) -> None:
        self._call.confirmed = None
        if self._turn_open:
            self._turn_open = False
            await self._push_and_wait(TurnAbandonedFrame(), self._floor_given)
        if why == "failed":
            metrics.PIPELINE_TURNS.labels("recognition_failed").inc()
            # Every stretch of speech fails while the engine is away: one apology at a time.
            if not self._call.bot_has_floor:
                await self.push_frame(EventFrame(event=Unheard(failed=True)))
        elif why == "unheard":
            await self.push_frame(EventFrame(event=Unheard()))

    async def _part(self, parting: PartingFrame) -> None:
        await self.push_frame(InterruptionFrame())
        await self.push_frame(self._say(parting.phrase))
        await self.push_frame(HangUpFrame(reason=parting.reason))

    def _say(self, key: str) -> TTSSpeakFrame:
        return TTSSpeakFrame(self._call.phrases.text(key))

    def _barge_in(self, outcome: conversation.BargeIn.Outcome) -> None:
        metrics.PIPELINE_BARGE_INS.labels(conversation.BargeIn.Outcome.Name(outcome).lower()).inc()
        self._call.publish(barge_in=conversation.BargeIn(outcome=outcome))
