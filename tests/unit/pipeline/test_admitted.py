"""Whom a pipeline takes: with its engine, without any, and while it drains; and how such a call begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from tellerline import language
from tellerline.pipeline.bank import CallsBank
from tellerline.pipeline.build import Models
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.flows.desk import Site
from tellerline.pipeline.flows.events import Begin
from tellerline.pipeline.flows.plan import HandOver
from tellerline.pipeline.flows.state import State
from tellerline.pipeline.flows.teller import Teller
from tellerline.pipeline.phrases import Phrases, Rendered, complete, write
from tellerline.pipeline.server import Conversations
from tellerline.rpc import conversation_pb2 as pb
from tellerline.settings import PipelineSettings

_CONTEXT = cast(grpc.aio.ServicerContext, None)
_PERSON = "sip:person@bank.example"
Lane = Callable[..., Conversations]


@pytest.fixture
async def lane(tmp_path: Path) -> AsyncIterator[Lane]:
    """Makes a lane whose engine is away."""
    engine = Engine(tmp_path / "none.sock")

    def made(**settings: Any) -> Conversations:
        return Conversations(PipelineSettings(**settings), engine, cast(Models, None), Phrases({}))

    yield made
    await engine.close()


async def admitted(lane: Conversations) -> pb.AdmitReply:
    return await lane.Admit(pb.AdmitRequest(call_id="c"), _CONTEXT)


async def test_without_an_engine_other_hosts_are_left_to_take_the_call(lane: Lane) -> None:
    reply = await admitted(lane())
    assert (reply.admitted, reply.reason) == (False, "engine unavailable")


async def test_without_an_engine_a_lane_that_may_takes_the_call(lane: Lane) -> None:
    assert (await admitted(lane(without_engine="keypad"))).admitted


async def test_a_lane_that_drains_takes_nobody(lane: Lane) -> None:
    draining = lane(without_engine="keypad")
    # Nobody is on the line: there is nothing to wait for.
    await asyncio.wait_for(draining.drain(3600), 20)
    reply = await admitted(draining)
    assert (reply.admitted, reply.reason) == (False, "draining")
    assert draining.told().startswith("draining, 0 calls")


async def test_a_drain_waits_for_a_call_and_no_longer(lane: Lane) -> None:
    conversations = lane()
    conversations._attached = 1
    conversations._empty.clear()
    drained = asyncio.create_task(conversations.drain(3600))
    done, _ = await asyncio.wait({drained}, timeout=0.05)
    assert not done
    conversations._empty.set()
    await asyncio.wait_for(drained, 20)
    # At its deadline it ends with a call on the line.
    conversations._empty.clear()
    await asyncio.wait_for(conversations.drain(0), 20)


# ---- how a call begins that no model can serve


async def begun(**site: Any) -> tuple[tuple[str, ...], tuple[object, ...]]:
    teller = Teller(State(language="en"), Site(**site), None, None)
    plan = await teller.consider(Begin(unserved=True))
    return plan.lines, plan.after


async def test_with_a_bank_keys_are_offered_after_the_greeting() -> None:
    phrases = language.load("en").phrases
    # Nothing is asked of it before a key is pressed.
    bank = cast(CallsBank, object())
    teller = Teller(State(language="en"), Site(languages=("en", "tr")), bank, None)
    plan = await teller.consider(Begin(unserved=True))
    assert plan.lines == (phrases["greeting"], phrases["menu"], phrases["menu_language"])
    assert plan.state.keypad


async def test_without_a_bank_there_is_no_menu_but_a_person() -> None:
    phrases = language.load("en").phrases
    lines, after = await begun(targets=(_PERSON,))
    assert lines[0] == phrases["greeting"]
    assert phrases["transferring"] in lines
    assert any(isinstance(action, HandOver) for action in after)


async def test_the_notice_of_recording_is_said_all_the_same() -> None:
    lines, _ = await begun(records=True, targets=(_PERSON,))
    assert lines[0] == language.load("en").phrases["greeting_recorded"]


# ---- starting without an engine


def test_phrases_are_complete_when_every_one_says_todays_words(tmp_path: Path) -> None:
    words = language.load("en")
    rendered = {key: Rendered(text, bytes(320), ()) for key, text in words.phrases.items()}
    assert not complete(words, None)
    assert not complete(words, tmp_path / "none")
    write(rendered, tmp_path)
    assert complete(words, tmp_path)
    rendered["menu"] = Rendered("Words of another release.", bytes(320), ())
    write(rendered, tmp_path)
    assert not complete(words, tmp_path)
