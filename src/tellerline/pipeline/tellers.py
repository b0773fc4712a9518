"""Makes the Teller of a call: fresh for a new one, where it stood for one whose pipeline died."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from tellerline.forwarding import Forwarder
from tellerline.instances import Instances
from tellerline.pipeline.bank import CallsBank
from tellerline.pipeline.call import Call
from tellerline.pipeline.flows.desk import Site
from tellerline.pipeline.flows.events import Begin, Event, Resumed
from tellerline.pipeline.flows.state import State
from tellerline.pipeline.flows.teller import Teller
from tellerline.pipeline.understanding import CallUnderstanding

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Behind:
    """What stands behind the conversations of a process."""

    # None: no bank.
    banking: Instances | None = None
    forwarder: Forwarder = field(default_factory=lambda: Forwarder(Path(), None, "pipeline"))

    async def close(self) -> None:
        """Sends what can be sent, and closes every connection."""
        await self.forwarder.close()
        if self.banking is not None:
            await self.banking.close()


def make(call: Call, behind: Behind) -> tuple[Teller, CallsBank | None]:
    """The Teller of `call`, and the bank it asks."""
    settings = call.settings
    bank = None
    if behind.banking is not None:
        bank = CallsBank(behind.banking, call.call_id, lambda: call.turn_id, call.facts.asked)
    site = Site(
        targets=tuple(filter(None, (settings.transfer_target, *settings.further_targets))),
        records=settings.records,
        keeps=settings.session is not None,
        languages=tuple(sorted({settings.language, *settings.languages_by_number.values()})),
    )
    # Without a bank there is nothing to route to: the language model answers.
    understanding = (
        CallUnderstanding(call.engine, call.providers, lambda: call.speaker) if bank is not None else None
    )
    state = State(language=call.language.code)
    teller = Teller(state, site, bank, understanding, keypad=call.attach.telephone_event)
    return teller, bank


async def begin(call: Call, teller: Teller, behind: Behind) -> Event:
    """Puts the Teller where the call stands; the event it goes on with."""
    if not call.attach.resume:
        return Begin(unserved=call.engine.away)
    kept = await behind.forwarder.resume(call.call_id)
    if kept.found:
        try:
            teller.state = State.from_json(kept.state_json)
        except (ValueError, TypeError):
            log.warning(
                "call %s: its state is of another release; the conversation starts anew", call.call_id
            )
        call.speak(teller.state.language, teller.state.slow)
    return Resumed(call.attach.dark_request_id)
