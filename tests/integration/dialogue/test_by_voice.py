"""The same conversations through a pipeline daemon: speech up and down, keys, the dark, a death."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pipeline.conftest import Daemon, Say, running, say  # noqa: F401
from pipeline.connector_line import Line

from tellerline import language
from tellerline.rpc import banking_pb2 as bank_pb
from tellerline.rpc import conversation_pb2 as pb
from tellerline.settings import ServiceAddresses

from .conftest import EMMA, EMMA_PIN, Bank
from .talk import call_id

PHRASES = language.load("en").phrases
PERSON = "sip:person@127.0.0.1:5399"


def played(line: Line) -> str:
    """All that the caller heard."""
    return " ".join(spoke.played for spoke in line.spoken())


def executed(bank: Bank) -> list[dict[str, Any]]:
    """The orders the bank was told to execute."""
    return [entry for entry in bank.sandbox.journal if entry["operation"] == "execute"]


async def types(line: Line, bank: Bank, called: str, digits: str) -> None:
    """What the connector does with digits typed in the dark: the pipeline learns the outcome alone."""
    purpose = line.sent("dark_input")[-1].dark_input.purpose
    request = bank_pb.SecretRequest(call_id=called, purpose=purpose, digits=digits.encode(), caller="447700")
    reply = await bank.secrets.call("Submit", request, 10.0)
    assert reply.outcome == bank_pb.SecretReply.ACCEPTED
    asked = len(line.sent("dark_input"))
    line.dark_input_ends(pb.DarkInputResult.ACCEPTED)
    if purpose == "customer_number":
        await line.until(lambda: len(line.sent("dark_input")) > asked)


@pytest.fixture(scope="module")
def daemon(engine_socket: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A pipeline that looks for banking in `folder`."""
    banking = ServiceAddresses(addresses=(f"unix:{folder}/banking.sock",))
    home = tmp_path_factory.mktemp("voice")
    with running(home, engine_socket, banking=banking, transfer_target=PERSON) as started:
        yield started


# An engine and a pipeline with all its phrases are started first: a minute on two busy cores.
@pytest.mark.timeout(300)
async def test_a_customer_is_served_by_voice(daemon: Daemon, bank: Bank, say: Say) -> None:  # noqa: F811
    card, send = say("Where is my new card?"), say("Send twenty pounds to Maria Lopez.")
    yes, person = say("Yes."), say("Can I talk to a person please?")
    called = call_id()
    async with Line(daemon.socket, called) as line:
        assert await line.bot_finishes() == PHRASES["greeting"]
        assert len(line.sent("menu_input")) == 1
        line.say(card)
        await line.until(lambda: bool(line.sent("dark_input")))
        await types(line, bank, called, EMMA)
        await types(line, bank, called, EMMA_PIN)
        await line.until(lambda: "It should reach you" in played(line), 60)
        assert len(line.sent("menu_input")) == 2

        line.say(send)
        await line.until(lambda: PHRASES["confirm_question"] in played(line), 60)
        assert "You are sending twenty pounds to Maria Lopez" in played(line)
        line.say(yes)
        await line.until(lambda: "is on its way" in played(line), 60)
        assert len(executed(bank)) == 1

        # "All right." is being heard while the bank is asked, and the read-back is an answer of its own.
        bank.sandbox.behaviour.latency_ms = 50
        read_back, on_its_way = (
            played(line).count(text) for text in (PHRASES["confirm_question"], "is on its way")
        )
        line.say(send)
        await line.until(lambda: played(line).count(PHRASES["confirm_question"]) > read_back, 60)
        line.press("1")
        await line.until(lambda: played(line).count("is on its way") > on_its_way, 60)
        assert played(line).count(PHRASES["confirm_question"]) == read_back + 1
        assert len(executed(bank)) == 2

        line.say(person)
        await line.until(lambda: bool(line.sent("transfer")), 60)
        transfer = line.sent("transfer")[0].transfer
        assert transfer.target == PERSON
        assert len(transfer.user_to_user) == 16
    log = daemon.log.read_text().lower()
    assert not any(word in log for word in ("maria", "lopez", "9016", "twenty pounds", EMMA, EMMA_PIN))
