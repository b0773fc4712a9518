"""Builds the pipecat pipeline of one call."""

from __future__ import annotations

from dataclasses import dataclass

from pipecat.frames.frames import Frame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import ExternalUserTurnStartStrategy
from pipecat.turns.user_stop import EagerUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from tellerline.pipeline.call import Call
from tellerline.pipeline.flows.front_desk import FrontDesk
from tellerline.pipeline.flows.teller import Teller
from tellerline.pipeline.frames import TurnAbandonedFrame
from tellerline.pipeline.gate import SpeechGate
from tellerline.pipeline.listener import Listener
from tellerline.pipeline.services import EngineLLMService, EngineTTSService
from tellerline.pipeline.transport import RATE_HZ, ConnectorInput, ConnectorOutput
from tellerline.pipeline.voice import CallerVoice, TurnModel, VoiceModel
from tellerline.rpc import conversation_pb2 as pb


class ListenerTurnStop(EagerUserTurnStopStrategy):
    """Ends turns where the listener says, also those that came to nothing."""

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Closes an abandoned turn at once, without a text."""
        if isinstance(frame, TurnAbandonedFrame):
            await self._forget()  # type: ignore[no-untyped-call]
            await self.trigger_user_turn_finalized()
            return ProcessFrameResult.CONTINUE
        return await super().process_frame(frame)


@dataclass(frozen=True)
class Models:
    """The models of this process, shared by its calls."""

    voice: VoiceModel
    turn: TurnModel


@dataclass(frozen=True)
class Conversation:
    """One call's running pipeline."""

    worker: PipelineWorker
    input: ConnectorInput
    context: LLMContext


def _said(call: Call, played: str, interrupted: bool) -> str:
    """The text of the answer that ended; what is queued behind it stays, unless it was cut off too."""
    texts = call.queued_text
    heard = next((i for i, text in enumerate(texts) if text not in played), len(texts))
    mine = heard if heard and not interrupted else len(texts)
    call.queued_text = texts[mine:]
    return " ".join(texts[:mine])


def build(call: Call, models: Models, teller: Teller) -> Conversation:
    """The pipeline of `call`, in the order its audio takes."""
    context = LLMContext()
    # No empty-turn recovery: it would run the model for a cough.
    strategies = UserTurnStrategies(start=[ExternalUserTurnStartStrategy()], stop=[ListenerTurnStop()])
    aggregators = LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(user_turn_strategies=strategies, empty_user_turn=None),
    )
    front_desk = FrontDesk(call, teller)
    model = EngineLLMService(call)

    async def spoken(_: object, message: AssistantTurnStoppedMessage) -> None:
        played = message.content or ""
        await front_desk.spoken(played, message.interrupted)
        if not played and not message.interrupted:
            # An answer nobody gave or could speak; what is queued is what follows instead.
            return
        queued = _said(call, played, message.interrupted)
        if queued or played:
            spoke = pb.BotSpoke(text=queued, played=played, interrupted=message.interrupted)
            call.publish(bot_spoke=spoke)
            call.facts.spoken(queued, played, message.interrupted)
        if not message.interrupted and front_desk.model_context.messages:
            await model.warm(front_desk.model_context)

    aggregators.assistant().add_event_handler("on_assistant_turn_stopped", spoken)
    source = ConnectorInput(call)
    pipeline = Pipeline(
        [
            source,
            Listener(call, CallerVoice(models.voice), models.turn),
            aggregators.user(),
            front_desk,
            model,
            EngineTTSService(call),
            SpeechGate(call),
            ConnectorOutput(call),
            aggregators.assistant(),
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        cancel_on_idle_timeout=False,
        idle_timeout_secs=None,
        cancel_timeout_secs=2.0,
        enable_rtvi=False,
        enable_turn_tracking=False,
        check_dangling_tasks=False,
    )
    return Conversation(worker, source, context)
