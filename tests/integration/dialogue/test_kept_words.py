"""What a caller says while flows run is in no state that leaves the pipeline, but for its plain words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from held import held

from tellerline.forwarding import Forwarder
from tellerline.pipeline.facts import Facts
from tellerline.pipeline.flows.events import Guess, Said
from tellerline.pipeline.understanding import Routed
from tellerline.settings import ServiceAddresses

from .conftest import Dial
from .talk import Talk

NOBODY = ServiceAddresses(addresses=("unix:/nowhere/session.sock",))
CARD = "four nine two nine one two three four five six seven eight nine zero one two"


class Doubtful:
    """Doubts that a lost card was meant, so that the caller is asked."""

    async def route(self, text: str, language: str) -> Routed:
        return Routed((Guess("lost_card", 0.5, "router"),))

    async def choose(self, text: str, language: str, among: Sequence[str]) -> str:
        return ""


async def kept(talk: Talk, folder: Path, text: str) -> bytes:
    """The spool of a pipeline whose caller said `text`."""
    forwarder = Forwarder(folder, NOBODY, "pipeline@cpu-0")
    await forwarder.start()
    facts = Facts(talk.call_id, forwarder, lambda **_: None)
    said = Said(text, -0.2)
    plan = await talk.teller.consider(said)
    await talk.teller.commit(plan)
    facts.committed(said, plan)
    facts.end()
    await forwarder.close(drain_seconds=0.01)
    return on_disk(folder)


def on_disk(folder: Path) -> bytes:
    """All that the folder holds."""
    return b"".join(held(folder).values())


@pytest.mark.parametrize("doubtful", [False, True], ids=["identification", "clarify"])
async def test_a_spoken_card_is_on_no_disk(dial: Dial, tmp_path: Path, doubtful: bool) -> None:
    talk = dial(understanding=Doubtful()) if doubtful else dial()
    await talk.begins()
    spool = await kept(talk, tmp_path, f"I lost my card, it is {CARD}")
    state = talk.teller.state
    # The words are in the state, so there was something to redact.
    assert CARD in (state.slots["text"] if doubtful else state.goal.text if state.goal else "")
    assert spool.count(b"I lost my card, it is [card]") == 2
    assert CARD.encode() not in spool
