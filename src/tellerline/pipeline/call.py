"""What the processors of one call share: its ids, the wire to the connector, the turn clock, its watchers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from pipecat.frames.frames import Frame

from tellerline import language
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.facts import Facts, Store
from tellerline.pipeline.flows.plan import Action, CancelDark, Dark, Menu, Record
from tellerline.pipeline.frames import Transfer
from tellerline.pipeline.phrases import Phrases
from tellerline.pipeline.playout import Playout
from tellerline.pipeline.providers.of_call import CallProviders
from tellerline.pipeline.providers.ports import Speaker
from tellerline.pipeline.providers.site import Providers
from tellerline.pipeline.timing import TurnClock
from tellerline.pipeline.voice import EchoLevel
from tellerline.pipeline.watching import Watchers
from tellerline.rpc import conversation_pb2 as pb
from tellerline.settings import PipelineSettings


class _Nowhere:
    """Keeps nothing."""

    def append(self, call_id: str, fact: Any) -> None:
        """Forgets the fact."""


class Call:
    """One attached call."""

    def __init__(
        self,
        call_id: str,
        attach: pb.Attach,
        settings: PipelineSettings,
        engine: Engine,
        phrases: Phrases,
        watchers: Watchers,
        store: Store | None = None,
        providers: Providers | None = None,
    ) -> None:
        self.call_id = call_id
        self.attach = attach
        self.settings = settings
        self.engine = engine
        self.providers = CallProviders(providers or Providers(settings.providers, engine))
        self._phrases = phrases
        code = settings.languages_by_number.get(attach.called, settings.language)
        self.language = language.load(code)
        self.phrases = phrases.of(code)
        # Below the voice's own pace, for a caller who asked for that.
        self.slowly = False
        self.clock = TurnClock()
        self.turn_id = 0
        # From the confirmation of a turn until its answer was heard or flushed, the bot has the floor.
        self.answering = False
        self.end_reason = ""
        self.down: asyncio.Queue[pb.ToConnector | None] = asyncio.Queue()
        self.heard_frames: asyncio.Queue[Frame] = asyncio.Queue()
        self.playout: Playout[Frame] = Playout(self.heard_frames.put_nowait)
        self._watchers = watchers
        # A guard has ended the answer: more of it is not worth generating.
        self.answer_cut = False
        self.echo = EchoLevel()
        # Where the caller's audio stands, in milliseconds since the stream was attached.
        self.heard_ms = 0
        self._deadline: asyncio.TimerHandle | None = None
        # Called when a confirmed turn was not answered within `turn_deadline_ms`.
        self.on_deadline: Callable[[], None] = lambda: None
        # The one transfer of this call, from its announcement to its final progress.
        self.transfer: Transfer | None = None
        # What the current answer was meant to say, for BotSpoke.
        self.queued_text: list[str] = []
        # The words the last turn ended with; None where it ended without any.
        self.confirmed: str | None = None
        # Mean log-probability of the last transcript.
        self.logprob = 0.0
        # Dark input under way: its id at the connector, 0 for none.
        self.dark_id = attach.dark_request_id
        self._keys_come_up = False
        self.facts = Facts(call_id, store or _Nowhere(), self.publish)

    @property
    def speaker(self) -> Speaker:
        """Whose turn it is now, and in which language."""
        return Speaker(self.call_id, self.turn_id, self.language)

    @property
    def caller_waits(self) -> bool:
        """Whether the caller was asked to wait, or types: their silence is no riddle."""
        return self.transfer is not None or self.dark_id != 0

    def speak(self, code: str, slowly: bool) -> None:
        """From here on in this language, at this pace."""
        self.slowly = slowly
        if code != self.language.code:
            self.language = language.load(code)
            self.phrases = self._phrases.of(code)

    def act(self, action: Action) -> None:
        """Tells the connector what a plan wants of it before its prompt."""
        match action:
            case Dark():
                self.dark_id = action.dark_id
                self._keys_come_up = False
                self.send(
                    dark_input=pb.DarkInputRequest(
                        request_id=action.dark_id,
                        purpose=action.purpose,
                        min_digits=action.min_digits,
                        max_digits=action.max_digits,
                        timeout_ms=action.timeout_ms,
                    )
                )
            case CancelDark(dark_id):
                self.dark_id = 0
                self.send(dark_input=pb.DarkInputRequest(request_id=dark_id, cancel=True))
            case Menu() if not self._keys_come_up:
                self._keys_come_up = True
                self.send(menu_input=pb.MenuInput())
            case Record(wanted):
                self.facts.consented(wanted)
                self.send(recording=pb.Recording(wanted=wanted))

    @property
    def bot_has_floor(self) -> bool:
        """Whether an answer is due or being played."""
        return self.answering or self.playout.unheard

    def expect_answer(self) -> None:
        """A turn was confirmed: its answer must start before the deadline."""
        self.answering = True
        self._stop_deadline()
        seconds = self.settings.limits.turn_deadline_ms / 1000
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.on_deadline)

    def answer_starts(self) -> None:
        """The first audio of an answer goes out."""
        self.answering = True
        self._stop_deadline()

    def answer_ends(self) -> None:
        """The answer was heard, or dropped."""
        self.answering = False
        self._stop_deadline()

    def send_transfer(self, transfer: Transfer) -> None:
        """Has the connector hand the call over, unless another key took the transfer back."""
        if transfer is self.transfer and not transfer.sent:
            transfer.sent = True
            self.facts.handed_over(transfer.target, transfer.reference, transfer.summary)
            self.send(
                transfer=pb.Transfer(
                    request_id=self.turn_id, target=transfer.target, user_to_user=transfer.reference
                )
            )

    def transfer_ends(self) -> None:
        """The connector told the transfer's outcome."""
        self.transfer = None

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def send(self, **command: Any) -> None:
        """Queues one command for the connector."""
        self.down.put_nowait(pb.ToConnector(call_id=self.call_id, turn_id=self.turn_id, **command))

    def publish(self, **event: Any) -> None:
        """Tells the watchers."""
        self._watchers.publish(
            pb.ConversationEvent(
                call_id=self.call_id,
                sip_call_id=self.attach.sip_call_id,
                turn_id=self.turn_id,
                at_ns=time.monotonic_ns(),
                **event,
            )
        )
