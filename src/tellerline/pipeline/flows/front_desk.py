"""The front desk: pipecat's frames to the Teller's events, and the Teller's plans to speech and commands."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from pipecat.frames.frames import (
    AggregatedTextFrame,
    EagerEndOfTurnCancelFrame,
    Frame,
    InputDTMFFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType

from tellerline.pipeline.call import Call
from tellerline.pipeline.flows.events import Event, Key, Said, Typed, Unserved
from tellerline.pipeline.flows.plan import (
    Action,
    CallBack,
    CancelDark,
    Dark,
    HandOver,
    HangUp,
    Menu,
    Plan,
    Record,
)
from tellerline.pipeline.flows.teller import Teller
from tellerline.pipeline.frames import EventFrame, HangUpFrame, Transfer, TransferFrame, UnservedFrame
from tellerline.pipeline.turns import normalised

# A caller who hears nothing for longer wonders whether somebody is there.
FILLER_SECONDS = 0.8
# An answer that a key cut off is told of at once; how much of it was heard decides what the key confirms.
CUT_OFF_SECONDS = 0.3

Result = TypeVar("Result")


@dataclass
class _Turn:
    """One event on its way to an answer."""

    event: Event
    speculative: bool
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    plan: Plan | None = None
    # What was left to tell, and is told with this answer.
    untold: tuple[str, ...] = ()
    # Its answer, which nobody waits for yet, came to nothing.
    unserved: Unserved | None = None


class FrontDesk(FrameProcessor):
    """Sits between the caller's context and the language model.

    A turn that is not known to be over is considered, and its answer is spoken into the gate; confirmed, it
    is committed. What is being written goes on through any interruption, and what comes of it is told.
    """

    def __init__(self, call: Call, teller: Teller) -> None:
        super().__init__()
        self._call = call
        self._teller = teller
        # What the language model is shown: its own questions and answers, and nothing of the bank's.
        self.model_context = LLMContext()
        self._turn: _Turn | None = None
        self._considering: asyncio.Task[None] | None = None
        # Whether the caller's turn is open: what is said now waits behind the gate.
        self._turn_open = False
        self._writing = asyncio.Lock()
        self._untold: tuple[str, ...] = ()
        self._cut_off = asyncio.Event()
        self._model_answers = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes what the Teller is to know; passes everything else on."""
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            if isinstance(frame, UnservedFrame):
                await self._unserved(frame.event)
                return
            if isinstance(frame, InterruptionFrame):
                await self._stop_considering()
            await self.push_frame(frame, direction)
            return
        match frame:
            case InputDTMFFrame():
                await self._press(frame.button.value)
            case EventFrame(event=event):
                if isinstance(event, Typed) and self._call.bot_has_floor:
                    # Who has typed need not hear the prompt to its end.
                    await self.broadcast_interruption()  # type: ignore[no-untyped-call]
                await self._start(_Turn(event, speculative=False))
            case LLMContextFrame():
                words = _last_words(frame.context)
                # A verdict overtakes what it judges: a speculation may come after the end of its turn.
                late = frame.speculation and not self._turn_open
                if not (late and not self._is_confirmed(words)):
                    said = Said(words, self._call.logprob)
                    await self._start(_Turn(said, speculative=frame.speculation and not late))
            case EagerEndOfTurnCancelFrame() | InterruptionFrame():
                await self._stop_considering()
                await self.push_frame(frame, direction)
            case UserStartedSpeakingFrame():
                self._turn_open = True
                await self.push_frame(frame, direction)
            case UserStoppedSpeakingFrame():
                self._turn_open = False
                await self._settle()
                await self.push_frame(frame, direction)
                await self._tell_untold()
            case _:
                await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Stops considering; what is being written ends by itself."""
        await self._stop_considering()
        await super().cleanup()  # type: ignore[no-untyped-call]

    # ---- what the caller heard

    async def spoken(self, text: str, interrupted: bool) -> None:
        """`text` is what the caller heard of the answer that ended."""
        self._teller.played(text, interrupted)
        self._cut_off.set()
        if self._model_answers and text:
            self._model_answers = False
            self._remember("assistant", text)
            self._teller.answered(text)

    def _remember(self, role: str, content: str) -> None:
        self.model_context.add_message(cast(LLMContextMessage, {"role": role, "content": content}))

    # ---- turns

    async def _press(self, digit: str) -> None:
        if digit != "0" and self._call.transfer is not None and not self._call.transfer.sent:
            # Announced only: the caller has changed their mind in time.
            self._call.transfer = None
            self._teller.transfer_taken_back()
        speaking = self._call.bot_has_floor
        self._cut_off.clear()
        await self.broadcast_interruption()  # type: ignore[no-untyped-call]
        await self._start(_Turn(Key(digit), speculative=False), await_cut_off=speaking)

    async def _start(self, turn: _Turn, await_cut_off: bool = False) -> None:
        await self._stop_considering()
        self._turn = turn
        if not turn.speculative:
            turn.confirmed.set()
        self._call.clock.mark("thinking_started", time.monotonic_ns())
        self._considering = self.create_task(self._answer(turn, await_cut_off))

    async def _stop_considering(self) -> None:
        task, self._considering = self._considering, None
        if self._turn is not None and task is not None:
            self._untold = (*self._turn.untold, *self._untold)
        self._turn = None
        if task is not None and not task.done():
            await self.cancel_task(task)

    async def _settle(self) -> None:
        """The caller's turn is over: with the words that were speculated on, with others, or with none."""
        turn = self._turn
        if turn is None or turn.confirmed.is_set():
            return
        words = turn.event.text if isinstance(turn.event, Said) else ""
        if not self._is_confirmed(words):
            # Other words follow as a context of their own; none mean that nothing was said.
            await self._withdraw()
            return
        if turn.plan is not None and turn.plan.basis is not self._teller.state:
            # The call has moved on meanwhile.
            event = turn.event
            await self._withdraw()
            await self._start(_Turn(event, speculative=False))
            return
        self._do_before(turn.plan)
        turn.confirmed.set()

    def _is_confirmed(self, words: str) -> bool:
        return self._call.confirmed is not None and normalised(words) == normalised(self._call.confirmed)

    async def _unserved(self, event: Unserved) -> None:
        """What there is instead of an answer is told once the turn is known to be over."""
        if self._turn is None and not self._turn_open:
            self._model_answers = False
            await self._start(_Turn(event, speculative=False))
        elif self._turn is not None and self._turn.plan is not None:
            self._turn.unserved = event
        # Otherwise the caller has gone on, and another answer is on its way.

    async def _withdraw(self) -> None:
        await self._stop_considering()
        await self.push_frame(EagerEndOfTurnCancelFrame())

    async def _answer(self, turn: _Turn, await_cut_off: bool) -> None:
        if await_cut_off:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._cut_off.wait(), CUT_OFF_SECONDS)
        async with self._writing:
            # Nothing is considered before what is being written has come to its end.
            pass
        plan = await self._patiently(turn, self._teller.consider(turn.event, turn.speculative))
        if turn.confirmed.is_set():
            self._do_before(plan)
        turn.plan = plan
        if plan.state.language != self._call.language.code:
            # The voice is the call's: it cannot be tried out on a turn that may go on.
            await turn.confirmed.wait()
            self._call.speak(plan.state.language, slowly=plan.state.slow)
        await self._voice(turn, plan, speculation=not turn.confirmed.is_set())
        await turn.confirmed.wait()
        # From here on an interruption stops the voice only.
        self._considering = self._turn = None
        await self._commit(turn.event, plan)
        if turn.unserved is not None:
            await self._unserved(turn.unserved)

    async def _commit(self, event: Event, plan: Plan) -> None:
        async with self._writing:
            further: Plan | None = plan
            first = True
            while further is not None:
                plan = further
                self._call.facts.committed(event if first else None, plan)
                await self._do_after(plan)
                if plan.ask_model:
                    self._remember("user", plan.ask_model)
                    self._model_answers = True
                self._call.speak(plan.state.language, slowly=plan.state.slow)
                writing = self._teller.commit(plan)
                further = await (self._patiently(None, writing) if plan.write else writing)
                if further is not None:
                    self._do_before(further)
                    await self._tell(further)
                first = False

    async def _patiently(self, turn: _Turn | None, work: Awaitable[Result]) -> Result:
        """The result of `work`, with a filler for a caller who would wait for it in silence."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=FILLER_SECONDS)
            if not done:
                if turn is not None:
                    await asyncio.wait(
                        {task, confirmed := asyncio.ensure_future(turn.confirmed.wait())},
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    confirmed.cancel()
                if not task.done() and not self._turn_open:
                    await self.push_frame(TTSSpeakFrame(self._call.phrases.text("one_moment")))
            return await task
        except asyncio.CancelledError:
            task.cancel()
            raise

    # ---- speaking

    async def _voice(self, turn: _Turn, plan: Plan, speculation: bool) -> None:
        if plan.ask_model:
            context = LLMContext(messages=[*self.model_context.messages])
            context.add_message(cast(LLMContextMessage, {"role": "user", "content": plan.ask_model}))
            await self.push_frame(LLMContextFrame(context=context, speculation=speculation))
        elif plan.lines or self._untold:
            turn.untold, self._untold = self._untold, ()
            await self._speak((*turn.untold, *plan.lines))
        elif not self._turn_open:
            self._call.answer_ends()

    async def _tell(self, plan: Plan) -> None:
        """Says what came of something written, or keeps it for the end of what the caller is saying."""
        if self._turn_open:
            self._untold = (*self._untold, *plan.lines)
        elif plan.lines:
            await self._speak(plan.lines)

    async def _tell_untold(self) -> None:
        if self._untold and self._turn is None:
            untold, self._untold = self._untold, ()
            await self._speak(untold)

    async def _speak(self, lines: tuple[str, ...]) -> None:
        await self.push_frame(LLMFullResponseStartFrame())
        for line in lines:
            await self.push_frame(AggregatedTextFrame(line, TextType.SENTENCE))
        await self.push_frame(LLMFullResponseEndFrame())

    # ---- acting

    def _do_before(self, plan: Plan | None) -> None:
        for action in plan.before if plan is not None else ():
            self._call.act(action)

    async def _do_after(self, plan: Plan) -> None:
        for action in plan.after:
            await self._act_behind_speech(action)

    async def _act_behind_speech(self, action: Action) -> None:
        match action:
            case HangUp(reason):
                await self.push_frame(HangUpFrame(reason=reason))
            case HandOver(target, reference, summary):
                if self._call.transfer is None:
                    self._call.transfer = Transfer(target, reference, summary)
                    await self.push_frame(TransferFrame(transfer=self._call.transfer))
            case CallBack(reference, summary):
                self._call.facts.handed_over("callback", reference, summary)
            case Dark() | CancelDark() | Menu() | Record():
                self._call.act(action)


def _last_words(context: LLMContext) -> str:
    messages = context.get_messages()
    last = messages[-1] if messages else None
    if not isinstance(last, dict) or last.get("role") != "user":
        return ""
    return str(last.get("content"))
