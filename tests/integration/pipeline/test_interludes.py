"""What happens to a call beside talk: hold, transfers, its length limit, an engine that stops."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import grpc
import pytest

from tellerline import bootstrap, language
from tellerline.engine.llm import llama
from tellerline.pipeline.build import Models
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.phrases import Phrases
from tellerline.pipeline.server import Conversations
from tellerline.pipeline.turns import normalised
from tellerline.rpc import conversation_pb2 as pb
from tellerline.rpc import conversation_pb2_grpc as rpc
from tellerline.rpc import engine_pb2
from tellerline.settings import PipelineSettings

from .conftest import PERSON, Say
from .connector_line import Line

PHRASES = language.load("en").phrases


def played(line: Line) -> list[str]:
    """What the caller heard of the bot, answer by answer."""
    return [spoke.played for spoke in line.spoken()]


# ---- hold


async def test_nobody_is_talked_to_on_hold(pipeline_socket: Path) -> None:
    async with Line(pipeline_socket, uuid.uuid4().hex) as line:
        assert await line.bot_finishes() == PHRASES["greeting"]
        # The breath after the last word is the bot's too.
        await line.until(lambda: not line.playing)
        line.hold(True)
        sent = len(line.sent("audio"))
        # More than twice the patience of this pipeline.
        await line.passes(5)
        assert len(line.sent("audio")) == sent
        line.hold(False)
        assert await line.bot_finishes() == PHRASES["still_there"]


async def test_a_sentence_waits_for_the_end_of_hold(pipeline_socket: Path) -> None:
    async with Line(pipeline_socket, uuid.uuid4().hex) as line:
        await line.until(lambda: len(line.played) > 8000)
        line.hold(True)
        await line.passes(5)
        assert line.spoken() == []
        line.hold(False)
        assert await line.bot_finishes() == PHRASES["greeting"]


# ---- transfer


async def test_a_pending_transfer_is_left_alone(staffed_socket: Path) -> None:
    async with Line(staffed_socket, uuid.uuid4().hex) as line:
        await line.bot_finishes()
        line.press("0")
        assert await line.bot_finishes() == PHRASES["transferring"]
        await line.until(lambda: bool(line.sent("transfer")))
        assert line.sent("transfer")[0].transfer.target == PERSON
        line.transfer_progresses(100, final=False)
        # More than twice the patience of this pipeline.
        await line.passes(5)
        assert played(line)[-1] == PHRASES["transferring"]
        line.press("0")
        assert await line.bot_finishes() == PHRASES["transferring"]
        assert len(line.sent("transfer")) == 1
        assert line.sent("hang_up") == []


async def test_a_failed_transfer_is_told_and_the_caller_can_go_on(staffed_socket: Path, say: Say) -> None:
    question = say("How do I change my address?")
    async with Line(staffed_socket, uuid.uuid4().hex) as line:
        await line.bot_finishes()
        line.press("0")
        await line.until(lambda: bool(line.sent("transfer")))
        await line.until(lambda: PHRASES["transferring"] in played(line))
        line.transfer_progresses(486, final=True)
        assert await line.bot_finishes() == PHRASES["nobody_free"]
        line.say(question)
        await line.bot_starts(await line.said())
        assert normalised(line.heard()[-1]) == "how do i change my address"
        line.press("0")
        await line.until(lambda: len(line.sent("transfer")) == 2)


async def test_a_transfer_is_not_lost_to_a_caller_who_says_thanks(staffed_socket: Path, say: Say) -> None:
    thanks = say("Thank you very much, that is very kind.")
    async with Line(staffed_socket, uuid.uuid4().hex) as line:
        await line.bot_finishes()
        count = len(line.played)
        line.press("0")
        await line.until(lambda: len(line.played) > count + 8000)
        line.say(thanks)
        await line.until(lambda: bool(line.sent("transfer")))
        await line.until(lambda: bool(line.heard()))
        assert len(line.sent("transfer")) == 1


# ---- the length limit


async def test_a_caller_who_talks_on_is_let_go_at_the_limit(hasty_socket: Path, say: Say) -> None:
    talk = say("I have another question for you, and it is a rather long one.")
    async with Line(hasty_socket, uuid.uuid4().hex) as line:
        # For longer than this waits: only the limit can end it.
        line.say(talk * 9)
        await line.until(lambda: bool(line.sent("hang_up")))
        assert line.sent("hang_up")[0].hang_up.reason == "too_long"
        await line.until(lambda: PHRASES["too_long"] in played(line))


async def test_a_caller_on_hold_is_let_go_at_the_limit(hasty_socket: Path) -> None:
    async with Line(hasty_socket, uuid.uuid4().hex) as line:
        line.hold(True)
        await line.until(lambda: bool(line.sent("hang_up")))
        hang_up = line.sent("hang_up")[0].hang_up
        assert (hang_up.reason, hang_up.after_playout) == ("too_long", False)


# ---- the engine


def serving_process(path: Path) -> int:
    """The process that listens on a unix socket (SO_PEERCRED, unix(7))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.connect(str(path))
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stands still while open."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_stopped_engine_costs_a_turn_and_not_the_call(
    pipeline_socket: Path, engine_socket: Path, say: Say
) -> None:
    question, again = say("How can I open a savings account?"), say("How do I change my address?")
    async with Line(pipeline_socket, uuid.uuid4().hex) as line:
        await line.bot_finishes()
        with stopped(serving_process(engine_socket)):
            line.say(question)
            await line.until(lambda: PHRASES["apology"] in played(line))
        line.say(again)
        await line.until(lambda: "how do i change my address" in map(normalised, line.heard()))
        await line.bot_starts(line.caller_sound)
        assert line.sent("hang_up") == []


async def test_a_prefix_the_engine_has_forgotten_is_opened_again(engine_socket: Path) -> None:
    engine, other = Engine(engine_socket), Engine(engine_socket)
    words = replace(language.load("en"), examples=())
    await engine.open_prefix(words)
    # As many as it keeps: the first is the one that has to go.
    for number in range(llama._PREFIXES):
        await other.open_prefix(replace(words, prompt=f"{number}", examples=()))
    messages = [engine_pb2.Message(role="user", content="Hello.")]
    answer = engine.generate("forgotten", 1, messages, engine_pb2.Sampling(max_tokens=4), 20)
    assert [text async for text in answer]
    await engine.close()
    await other.close()


# ---- watching


async def test_watching_is_refused_where_the_site_does_not_allow_it(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "none.sock")
    servicer = Conversations(PipelineSettings(), engine, cast(Models, None), Phrases({}))
    server, _ = bootstrap.server(tmp_path / "p.sock")
    rpc.add_ConversationServicer_to_server(servicer, server)
    await server.start()
    async with bootstrap.channel(tmp_path / "p.sock") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await anext(aiter(rpc.ConversationStub(channel).Watch(pb.WatchRequest())))
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    await server.stop(None)
    await engine.close()
