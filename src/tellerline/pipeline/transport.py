"""pipecat's transport over the Converse stream: caller audio in, paced bot audio and commands out."""

from __future__ import annotations

import asyncio
import time

from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    LLMAssistantPushAggregationFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    OutputAudioRawFrame,
    StartFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams

from tellerline.monitoring import metrics
from tellerline.pipeline.call import Call
from tellerline.pipeline.frames import (
    HangUpFrame,
    HeldFrame,
    PausePlayoutFrame,
    ResumePlayoutFrame,
    TransferFrame,
)
from tellerline.rpc import conversation_pb2 as pb

RATE_HZ = 8000
# What was said, and its end: true only once it was heard. The beginning of an answer too: it is often queued
# while the one before it is heard; one that began before the last has ended would be closed by its end, and
# nobody learn that the caller heard it.
_AFTER_HEARD = (
    LLMFullResponseStartFrame,
    LLMFullResponseEndFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    LLMAssistantPushAggregationFrame,
)
_KEYS = {entry.value for entry in KeypadEntry}


def params() -> TransportParams:
    """8 kHz both ways in 20 ms chunks; nothing after the last word; a paused caller is not a dead one."""
    return TransportParams(
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_in_sample_rate=RATE_HZ,
        audio_out_sample_rate=RATE_HZ,
        audio_out_10ms_chunks=2,
        audio_out_end_silence_secs=0,
        audio_out_write_timeout_secs=86400,
    )


class ConnectorInput(BaseInputTransport):
    """What the connector sends up, as pipecat frames."""

    def __init__(self, call: Call) -> None:
        super().__init__(params())
        self._call = call

    async def receive(self, message: pb.FromConnector) -> None:
        """Turns one message into frames. Audio skips pipecat's input queue: one task hop less."""
        match message.WhichOneof("event"):
            case "audio":
                self._call.playout.advance(message.audio.played_samples)
                await self.push_frame(InputAudioRawFrame(message.audio.pcm, RATE_HZ, 1))
            case "digit" if message.digit.digit in _KEYS:
                self._call.publish(digit=message.digit)
                await self.push_frame(InputDTMFFrame(KeypadEntry(message.digit.digit)))
            case "hold":
                await self.push_frame(HeldFrame(message.hold.held))


class ConnectorOutput(BaseOutputTransport):
    """What goes down to the connector: audio paced on its play-out position, and commands.

    Text and ends of answers go on to the assistant's context only when the audio before them was
    played, so the context holds what the caller heard.
    """

    def __init__(self, call: Call) -> None:
        super().__init__(params())
        self._call = call
        self._heard_task: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        """Starts the media sender and the delivery of what was heard."""
        await super().start(frame)
        self._heard_task = self.create_task(self._deliver_heard())
        await self.set_transport_ready(frame)

    async def stop(self, frame: EndFrame) -> None:
        """Ends after what is queued."""
        await super().stop(frame)
        await self._stop_delivery()

    async def cancel(self, frame: CancelFrame) -> None:
        """Ends now."""
        await super().cancel(frame)
        await self._stop_delivery()

    async def cleanup(self) -> None:
        """Frees the tasks."""
        await self._stop_delivery()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def _stop_delivery(self) -> None:
        if self._heard_task is not None:
            task, self._heard_task = self._heard_task, None
            await self.cancel_task(task)

    async def _deliver_heard(self) -> None:
        while True:
            frame = await self._call.heard_frames.get()
            if (
                isinstance(frame, (LLMFullResponseEndFrame, TTSStoppedFrame))
                and not self._call.playout.unheard
            ):
                self._call.answer_ends()
            await super().push_frame(frame)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Commands of our own, and a flush with every interruption."""
        if isinstance(frame, InterruptionFrame) and direction is FrameDirection.DOWNSTREAM:
            self._flush()
        elif isinstance(frame, PausePlayoutFrame):
            self._call.playout.paused = True
            self._call.send(pause=pb.Pause())
        elif isinstance(frame, ResumePlayoutFrame):
            self._call.playout.paused = False
            self._call.send(resume=pb.Resume())
        await super().process_frame(frame, direction)

    def _flush(self) -> None:
        if self._call.bot_has_floor or self._call.playout.paused:
            self._call.send(flush=pb.Flush())
        self._call.answer_ends()
        self._call.playout.flush()
        while not self._call.heard_frames.empty():
            self._call.heard_frames.get_nowait()

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Passes frames on; what was said waits until it was heard."""
        if direction is FrameDirection.DOWNSTREAM and isinstance(frame, _AFTER_HEARD):
            self._call.playout.mark(frame)
        elif not isinstance(frame, OutputAudioRawFrame):
            # Audio has arrived: nobody downstream wants 50 frames a second of it.
            await super().push_frame(frame, direction)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Sends 20 ms when the connector has room for it; drops it when a flush came first."""
        playout, samples = self._call.playout, len(frame.audio) // 2
        if not await playout.room(samples):
            return False
        self._call.answer_starts()
        playout.send(samples)
        self._call.echo.said(frame.audio, self._call.heard_ms)
        self._call.send(audio=pb.BotAudio(pcm=frame.audio, kind=pb.BotAudio.SPEECH))
        if timed := self._call.clock.finish(time.monotonic_ns()):
            self._call.publish(turn_timed=timed)
            voice_to_voice_ns = timed.first_audio_ns - timed.speech_ended_ns
            self._call.facts.response_ms = max(0, round(voice_to_voice_ns / 1e6))
            metrics.PIPELINE_TURNS.labels("answered").inc()
        return True

    async def write_transport_frame(self, frame: Frame) -> None:
        """Commands queued behind speech."""
        if isinstance(frame, HangUpFrame):
            self._call.end_reason = frame.reason
            self._call.send(hang_up=pb.HangUp(reason=frame.reason, after_playout=True))
        elif isinstance(frame, TransferFrame):
            self._call.send_transfer(frame.transfer)
