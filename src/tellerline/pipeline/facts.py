"""What is kept of a conversation: turns, bank operations, consent, handovers, and where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tellerline.pipeline.bank import Asked
from tellerline.pipeline.flows.events import Event, Guess, Key, Said
from tellerline.pipeline.flows.plan import Plan
from tellerline.rpc import conversation_pb2 as conversation
from tellerline.rpc import session_pb2 as pb


class Store(Protocol):
    """What is needed of forwarding.Forwarder."""

    def append(self, call_id: str, fact: Any) -> None:
        """Keeps one fact; never blocks."""


class Facts:
    """One call's facts, told to `store` and to whoever watches (`publish`, as Call.publish)."""

    def __init__(self, call_id: str, store: Store, publish: Callable[..., None]) -> None:
        self._call_id = call_id
        self._store = store
        self._publish = publish
        self._turn: pb.TurnTaken | None = None
        # Of the last plan: an answer to no words, a greeting or what came of typed digits, is in it too.
        self._language = ""
        # The last measured voice-to-voice time, taken by the turn it belongs to.
        self.response_ms = 0
        self.turn_id = 0

    def committed(self, event: Event | None, plan: Plan) -> None:
        """A plan became true; `event` is what brought it, None for what came of something written."""
        self._language = plan.state.language
        if isinstance(event, (Said, Key)):
            self._turn_ends()
            guess = (
                plan.guess if plan.guess.intent != "out_of_scope" or not plan.ask_model else Guess(by="model")
            )
            by = "keypad" if isinstance(event, Key) else guess.by
            self._turn = pb.TurnTaken(
                turn_id=self.turn_id,
                language=plan.state.language,
                # Never a key: it may be part of an amount.
                heard=event.text if isinstance(event, Said) else "",
                intent="" if guess.intent == "out_of_scope" else guess.intent,
                probability=guess.probability,
                understood_by=by,
            )
            understood = conversation.Understood(intent=guess.intent, probability=guess.probability, by=by)
            self._publish(understood=understood)
        self._store.append(
            self._call_id,
            pb.ContextSaved(
                phase=plan.state.flow, language=plan.state.language, state_json=plan.state.to_json()
            ),
        )

    def spoken(self, said: str, played: str, interrupted: bool) -> None:
        """An answer ended."""
        turn = self._turn or pb.TurnTaken(turn_id=self.turn_id, language=self._language, understood_by="flow")
        self._turn = None
        turn.said, turn.played, turn.interrupted = said, played, interrupted
        turn.voice_to_voice_ms, self.response_ms = self.response_ms, 0
        self._store.append(self._call_id, turn)

    def end(self) -> None:
        """The call is over; a turn without an answer is kept as well."""
        self._turn_ends()

    def _turn_ends(self) -> None:
        if self._turn is not None:
            turn, self._turn = self._turn, None
            self._store.append(self._call_id, turn)

    def asked(self, asked: Asked) -> None:
        """The bank was asked something."""
        self._publish(
            bank_asked=conversation.BankAsked(
                operation=asked.tool,
                outcome=asked.outcome,
                took_ms=asked.took_ms,
                speculative=asked.speculative,
            )
        )
        self._store.append(
            self._call_id,
            pb.ToolCalled(
                tool=asked.tool,
                outcome=asked.outcome,
                speculative=asked.speculative,
                took_ms=asked.took_ms,
            ),
        )

    def consented(self, recording: bool) -> None:
        """The caller was told, and did or did not refuse."""
        self._store.append(self._call_id, pb.ConsentGiven(recording=recording))

    def handed_over(self, target: str, reference: str, summary: str) -> None:
        """A person is to take over."""
        self._store.append(self._call_id, pb.HandedOver(reference=reference, target=target, summary=summary))
