"""The providers as one call sees them: a turn is served to its end in the order it began with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from tellerline.pipeline import engine
from tellerline.pipeline.providers.ports import Clause, Doubt, Question, Speaker
from tellerline.pipeline.providers.site import Providers, Strategy
from tellerline.pipeline.providers.utterance import Utterance
from tellerline.rpc import engine_pb2 as pb


class CallProviders:
    """Providers of one call."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers
        self._turn_id = 0
        self._strategy = providers.strategy

    def _of(self, speaker: Speaker) -> Strategy:
        if speaker.turn_id != self._turn_id:
            self._turn_id, self._strategy = speaker.turn_id, self._providers.strategy
        return self._strategy

    def thinks_here(self, speaker: Speaker) -> bool:
        """Whether the engine is the first to be asked for an answer: it may read ahead."""
        return self._of(speaker).language_model[0] == "local"

    def speaks_here(self, speaker: Speaker) -> bool:
        """Whether the engine is the first to speak: its fixed phrases are in memory."""
        return self._of(speaker).synthesis[0] == "local"

    def answer(self, question: Question, seconds: float) -> AsyncGenerator[str, None]:
        """As Chat.answer, by whoever can."""
        return self._providers.answer(self._of(question.asker), question, seconds)

    async def choose_intent(self, doubt: Doubt, seconds: float) -> str:
        """The intent that the language model takes the words for, by whoever can; "" for none."""
        return await self._providers.choose_intent(self._of(doubt.asker), doubt, seconds)

    def speak(self, clause: Clause) -> AsyncGenerator[pb.SynthesizeReply, None]:
        """As Voice.speak, by whoever can."""
        return self._providers.speak(self._of(clause.speaker), clause)

    def recognise(
        self, speaker: Speaker, heard: Callable[[pb.Transcript | None], None]
    ) -> Utterance | engine.Utterance:
        """Opens one utterance; `heard` gets each transcript, and None when nobody has one."""
        return self._providers.recognise(self._of(speaker), speaker, heard)
