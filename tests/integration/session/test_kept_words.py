"""Numbers a caller says are in no state of a conversation that is stored, however it comes to be stored."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from held import held
from records import append, eventually, opened, record
from test_destruction import everything

from tellerline import embedded
from tellerline.forwarding import Forwarder
from tellerline.pipeline.facts import Facts
from tellerline.pipeline.flows.events import Said
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import Goal, State
from tellerline.rpc import session_pb2 as pb
from tellerline.settings import ServiceAddresses

SPOKEN = "four nine two nine one two three four five six seven eight nine zero one two"
SAID = f"I lost my aubergine card, {SPOKEN}"
STATES = (
    State(flow="authentication", step="number", slots={"level": 1}, goal=Goal("lost_card", SAID)),
    State(flow="clarify", slots={"intent": "lost_card", "text": SAID}),
)


def kept_in(stored: dict[str, str]) -> set[str]:
    """Places that hold what was said, by a word of it that is no number."""
    return {place for place, text in stored.items() if "aubergine" in text}


async def in_the_views(fresh: embedded.Fresh, call_id: str) -> bool:
    """The views are built from the stream a moment later."""
    stored = everything(fresh)
    return any(
        place.startswith("redis ") and call_id in text and "aubergine" in text
        for place, text in stored.items()
    )


@pytest.mark.parametrize("state", STATES, ids=["goal", "clarify"])
async def test_a_state_is_redacted_in_spool_postgres_and_redis(
    start_service: Callable[..., Any], fresh: embedded.Fresh, tmp_path: Path, state: State
) -> None:
    call_id, spool = uuid.uuid4().hex, tmp_path / "spool"
    service = start_service(fresh)
    addresses = ServiceAddresses(addresses=(service.address,))
    service.kill()
    forwarder = Forwarder(spool, addresses, "pipeline@cpu-0")
    await forwarder.start()
    facts = Facts(call_id, forwarder, lambda **_: None)
    facts.committed(Said(SAID), Plan(state))
    facts.end()
    on_disk = b"".join(held(spool).values())
    assert on_disk.count(b"aubergine") == 2
    assert SPOKEN.encode() not in on_disk
    service.start()
    assert await forwarder.drained(20)
    await forwarder.close()
    await eventually(lambda: in_the_views(fresh, call_id))
    stored = everything(fresh)
    assert {"session.context", "session.turn"} <= kept_in(stored)
    assert [place for place, text in stored.items() if SPOKEN in text] == []


@pytest.mark.parametrize("state", STATES, ids=["goal", "clarify"])
async def test_a_state_nobody_redacted_is_redacted_by_the_service(
    start_service: Callable[..., Any],
    connect: Callable[..., Any],
    fresh: embedded.Fresh,
    state: State,
) -> None:
    call_id = uuid.uuid4().hex
    client = connect(start_service(fresh))
    bare = pb.ContextSaved(phase=state.flow, language="en", state_json=json.dumps(asdict(state)))
    await append(client, opened(call_id), record(call_id, 1, context_saved=bare))
    await eventually(lambda: in_the_views(fresh, call_id))
    stored = everything(fresh)
    assert "session.context" in kept_in(stored)
    assert [place for place, text in stored.items() if SPOKEN in text] == []
