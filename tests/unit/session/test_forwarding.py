"""What a forwarder keeps without a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tellerline import forwarding
from tellerline.forwarding import Forwarder
from tellerline.record_file import left_behind
from tellerline.rpc import session_pb2 as pb
from tellerline.session import redaction
from tellerline.settings import ServiceAddresses

_NOBODY = ServiceAddresses(addresses=("unix:/nowhere/session.sock",))


def on_disk(folder: Path) -> list[pb.Record]:
    found = [pb.Record.FromString(data) for file in left_behind(folder) for data in file.records()]
    return found


async def test_records_are_numbered_by_call_and_producer(tmp_path: Path) -> None:
    forwarder = Forwarder(tmp_path, _NOBODY, "pipeline@cpu-0")
    await forwarder.start()
    for call_id in ("a", "b", "a"):
        forwarder.append(call_id, pb.ConsentGiven(recording=True))
    forwarder.append("a", pb.CallClosed(), producer="connector@cpu-0", sequence=7)
    await forwarder.close(drain_seconds=0.01)
    kept = on_disk(tmp_path)
    assert [(record.call_id, record.sequence) for record in kept] == [("a", 1), ("b", 1), ("a", 2), ("a", 7)]
    assert kept[0].producer == kept[2].producer
    assert kept[0].producer.startswith("pipeline@cpu-0/")
    assert kept[3].producer == "connector@cpu-0"


async def test_each_life_is_a_producer_of_its_own(tmp_path: Path) -> None:
    producers = set()
    for life in range(2):
        async with Forwarder(tmp_path / str(life), _NOBODY, "pipeline@cpu-0") as forwarder:
            forwarder.append("a", pb.ConsentGiven())
            producers.add(forwarder._producer)
            await forwarder.close(drain_seconds=0.01)
    assert len(producers) == 2


async def test_resume_tells_what_is_on_this_disk(tmp_path: Path) -> None:
    first = Forwarder(tmp_path, _NOBODY, "pipeline@cpu-0")
    await first.start()
    first.append("a", pb.ContextSaved(phase="balance", language="tr", state_json='{"n":1}'))
    first.append("a", pb.TurnTaken(language="tr", heard="bakiyem", played="buyurun"))
    first.append("a", pb.ContextSaved(phase="transfer", language="tr", state_json='{"n":2}'))
    await first.close(drain_seconds=0.01)
    async with Forwarder(tmp_path, _NOBODY, "pipeline@cpu-0") as second:
        reply = await second.resume("a", within_seconds=0.2)
        assert (reply.found, reply.phase, reply.language, reply.state_json) == (
            True,
            "transfer",
            "tr",
            '{"n":2}',
        )
        assert [(turn.heard, turn.played) for turn in reply.turns] == [("bakiyem", "buyurun")]
        assert second.waiting == 3
        assert not (await second.resume("other", within_seconds=0.2)).found
        context = second.latest_context("a")
        assert context is not None and context.phase == "transfer"
        await second.close(drain_seconds=0.01)


async def test_without_a_service_nothing_is_kept(tmp_path: Path) -> None:
    async with Forwarder(tmp_path / "spool", None, "pipeline@cpu-0") as forwarder:
        forwarder.append("a", pb.ContextSaved(phase="balance"))
        assert (await forwarder.resume("a")).phase == "balance"
        assert forwarder.waiting == 0
    assert not (tmp_path / "spool").exists()


async def test_texts_are_redacted_before_they_touch_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "redact", lambda text, language: text.replace("4111", f"[{language}]"))
    forwarder = Forwarder(tmp_path, _NOBODY, "pipeline@cpu-0")
    await forwarder.start()
    forwarder.append("a", pb.TurnTaken(language="en", heard="4111", said="x 4111", played="4111 y"))
    forwarder.append("a", pb.HandedOver(reference="4111", summary="has 4111"))
    await forwarder.close(drain_seconds=0.01)
    turn, handover = on_disk(tmp_path)
    assert turn.turn_taken.heard == "[en]"
    assert turn.turn_taken.said == "x [en]"
    assert turn.turn_taken.played == "[en] y"
    assert handover.handed_over.summary == "has [en]"
    assert handover.handed_over.reference == "4111"


async def test_a_callers_words_in_a_conversations_state_are_redacted_and_references_are_not(
    tmp_path: Path,
) -> None:
    state = {
        "slots": {"text": "4929123456789012", "card_id": "4929123456789012", "amount": [5000, "GBP"]},
        "goal": {
            "text": "my card is four nine two nine one two three four five six seven eight nine zero one two"
        },
        "question": ["Is it your debit card ending in four two one one?"],
        "unforeseen": {"deep": ["I said 4929 1234 5678 9012"]},
    }
    forwarder = Forwarder(tmp_path, _NOBODY, "pipeline@cpu-0")
    await forwarder.start()
    forwarder.append("a", pb.ContextSaved(language="en", state_json=json.dumps(state)))
    forwarder.append("a", pb.ContextSaved(language="en", state_json="I said 4929 1234 5678 9012"))
    await forwarder.close(drain_seconds=0.01)
    kept, unreadable = [record.context_saved.state_json for record in on_disk(tmp_path)]
    assert json.loads(kept) == {
        "slots": {"text": "[card]", "card_id": "4929123456789012", "amount": [5000, "GBP"]},
        "goal": {"text": "my card is [card]"},
        "question": state["question"],
        "unforeseen": {"deep": ["I said [card]"]},
    }
    assert unreadable == "{}"


async def test_text_that_redaction_fails_on_is_withheld(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str, language: str) -> str:
        raise RuntimeError

    monkeypatch.setattr(redaction, "redact", fail)
    forwarder = Forwarder(tmp_path, _NOBODY, "pipeline@cpu-0")
    await forwarder.start()
    forwarder.append("a", pb.TurnTaken(language="en", heard="secret"))
    forwarder.append("a", pb.ContextSaved(language="en", state_json='{"text":"secret"}'))
    await forwarder.close(drain_seconds=0.01)
    kept = on_disk(tmp_path)
    assert len(kept) == 2
    assert "secret" not in str(kept)


async def test_record_that_is_too_large_is_its_producers_fault(tmp_path: Path) -> None:
    async with Forwarder(tmp_path, _NOBODY, "pipeline@cpu-0") as forwarder:
        with pytest.raises(ValueError, match="bytes"):
            forwarder.append("a", pb.ContextSaved(state_json=f'"{"x" * forwarding._RECORD_BYTES_MAX}"'))
        assert forwarder.waiting == 0


async def test_batches_keep_order_and_stay_small(tmp_path: Path) -> None:
    forwarder = Forwarder(tmp_path, _NOBODY, "pipeline@cpu-0")
    await forwarder.start()
    for number in range(250):
        forwarder.append("a", pb.TurnTaken(turn_id=number, language="en"))
    count, request = forwarder._batch()
    assert count == 100
    assert [record.turn_taken.turn_id for record in request.records] == list(range(100))
    await forwarder.close(drain_seconds=0.01)
