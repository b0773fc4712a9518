"""The front desk: keypad menu, goodbyes and the route of every caller's turn to phrase or model."""

from __future__ import annotations

from pipecat.frames.frames import Frame, InputDTMFFrame, LLMContextFrame, TTSSpeakFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tellerline.pipeline.call import Call
from tellerline.pipeline.frames import HangUpFrame, Transfer, TransferFrame
from tellerline.pipeline.turns import normalised

# Key → fixed phrase.
_MENU = {"1": "opening_hours", "2": "lost_card"}
_REPEAT_KEY = "9"
_PERSON_KEY = "0"


class FrontDesk(FrameProcessor):
    """Sits between the caller's context and the language model: answers what needs no model."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call
        # What the caller last heard in full or in part.
        self.last_answer = ""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Digits interrupt and act at once; goodbyes end the call; the rest is the model's."""
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, InputDTMFFrame):
            if frame.button.value != _PERSON_KEY:
                self._take_back_transfer()
            await self.broadcast_interruption()  # type: ignore[no-untyped-call]
            await self._answer_key(frame.button.value)
        elif isinstance(frame, LLMContextFrame) and self._says_goodbye(frame.context):
            await self._say_goodbye()
        else:
            await self.push_frame(frame, direction)

    def _says_goodbye(self, context: LLMContext) -> bool:
        messages = context.get_messages()
        last = messages[-1] if messages else None
        if not isinstance(last, dict) or last.get("role") != "user":
            return False
        return normalised(str(last.get("content"))) in self._call.language.goodbyes

    async def _say_goodbye(self) -> None:
        if self._call.transfer is not None:
            # They part from us, not from the person they wait for.
            await self._say("transferring")
            return
        await self._say("goodbye")
        await self.push_frame(HangUpFrame(reason="goodbye"))

    async def _answer_key(self, key: str) -> None:
        if key == _PERSON_KEY:
            await self._hand_over()
        elif key == _REPEAT_KEY and self.last_answer:
            await self.push_frame(TTSSpeakFrame(self.last_answer))
        elif key == _REPEAT_KEY:
            await self._say("nothing_to_repeat")
        else:
            await self._say(_MENU.get(key, "unknown_key"))

    def _take_back_transfer(self) -> None:
        # Announced only: the caller has changed their mind in time.
        if self._call.transfer is not None and not self._call.transfer.sent:
            self._call.transfer = None

    async def _hand_over(self) -> None:
        target = self._call.settings.transfer_target
        if target is None:
            await self._say("nobody_free")
            return
        await self._say("transferring")
        if self._call.transfer is None:
            self._call.transfer = Transfer(target)
            await self.push_frame(TransferFrame(transfer=self._call.transfer))

    async def _say(self, key: str) -> None:
        await self.push_frame(TTSSpeakFrame(self._call.phrases.text(key)))
