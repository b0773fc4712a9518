"""Turns put together from packets and the stack's own words; bars; the recording."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from packet_traces import MS, at_packet, call, loud, spoke

from tellerline.robot import conversation, recording, scenario, terminal
from tellerline.robot.conversation import Segment
from tellerline.rpc import conversation_pb2 as pb

# A greeting, a line from packet 20 to 40, an answer at packet 60.
TALK = {n: loud() for n in [*range(2, 10), *range(60, 90)]}


def scenario_of(expect: str) -> scenario.Scenario:
    return scenario.parse(
        f"name: x\nturns:\n  - expect: {{}}\n  - say: My card is lost\n    expect: {expect}", "test.yml"
    )


def assembled(expect: str, heard: str | None = None, answer: str = "") -> conversation.Conversation:
    trace = call(100, TALK)
    mark = spoke(20, 40)
    mark.turn, mark.said = 1, "My card is lost"
    trace.marks = [mark]
    events = None
    if heard is not None:
        at = at_packet(45)
        stages = [pb.Stage(name="recognition", start_ns=at_packet(42), end_ns=at_packet(50))]
        timed = pb.TurnTimed(stages=stages, speech_ended_ns=at_packet(40), first_audio_ns=at_packet(58))
        events = [
            pb.ConversationEvent(at_ns=at, caller_heard=pb.CallerHeard(text="My car", final=False)),
            pb.ConversationEvent(at_ns=at, caller_heard=pb.CallerHeard(text=heard, final=True)),
            pb.ConversationEvent(at_ns=at_packet(59), turn_timed=timed),
        ]
    return conversation.assemble(trace, scenario_of(expect), events, lambda samples: answer)


def test_a_turn_holds() -> None:
    talked = assembled(
        "{answer_within_ms: 400, heard: card, answer: [sorry, block]}", "my card is lost.", "I will block it."
    )
    assert talked.passed
    turn = talked.turns[1]
    assert turn.voice_to_voice_ms == pytest.approx(400)
    assert turn.stages == {"recognition": 160.0, "network": 40.0}
    assert not turn.misheard


@pytest.mark.parametrize(
    ("expect", "unmet"),
    [
        ("{answer_within_ms: 399}", "answered after 400 ms, not 399"),
        ("{answer: goodbye}", "the answer has no 'goodbye': 'I will block it.'"),
        ("{heard: account}", "'account' was not heard"),
        ("{ends_within_ms: 100}", "the bot did not end the call"),
    ],
)
def test_an_expectation_fails(expect: str, unmet: str) -> None:
    talked = assembled(expect, "my card is lost", "I will block it.")
    assert talked.turns[1].failures == [unmet]
    assert not talked.passed


def test_misheard_is_not_misunderstood() -> None:
    talked = assembled("{answer: block}", "my car is lost", "I will block it.")
    assert talked.turns[1].misheard
    assert talked.passed


def test_what_was_heard_is_not_asked_of_a_stack_that_is_not_watched() -> None:
    talked = assembled("{heard: card}")
    assert talked.turns[1].heard is None
    assert talked.passed


def test_a_call_that_was_not_answered_fails() -> None:
    trace = call(0)
    trace.acknowledged_ns, trace.status, trace.ended_by = 0, 486, ""
    talked = conversation.assemble(trace, scenario_of("{}"), None, None)
    assert talked.failures == ["the call was not answered (SIP status 486)"]
    assert not talked.passed


def test_the_document_is_json_with_the_promised_keys() -> None:
    document = json.loads(json.dumps(conversation.as_dict(assembled("{}", "my card is lost"))))
    assert document["passed"] is True
    assert document["p50_ms"] == document["p95_ms"] == 400.0
    assert {"voice_to_voice_ms", "stages", "said", "heard"} <= document["turns"][1].keys()


def ms(*stages: tuple[str, int, int]) -> list[tuple[str, int, int]]:
    return [(name, start * MS, end * MS) for name, start, end in stages]


def test_overlapping_stages_become_one_path_without_a_gap() -> None:
    stages = ms(
        ("endpoint", 10, 70),
        ("recognition", 70, 260),
        ("confirm", 10, 400),
        ("thinking", 265, 330),
        ("synthesis", 330, 390),
        ("gate", 390, 400),
        ("send", 400, 402),
    )
    path = conversation.critical_path(stages, 0, 440 * MS)
    names = [segment.name for segment in path]
    assert names == [
        "line", "endpoint", "recognition", "wait", "thinking", "synthesis", "gate", "send", "network",
    ]  # fmt: skip
    assert sum(segment.ms for segment in path) == pytest.approx(440)


def test_without_stages_all_of_it_is_one_segment() -> None:
    assert conversation.critical_path([], 0, 300 * MS) == [Segment("all", 300)]


def test_a_bar_is_as_long_as_the_wait() -> None:
    cells = terminal.bar([Segment("a", 9), Segment("b", 9), Segment("c", 9), Segment("d", 73)], ms_a_cell=10)
    assert cells == "abcddddddd"


def test_the_recording_is_stereo_and_aligned(tmp_path: Path) -> None:
    talked = assembled("{}")
    trace = talked.trace
    # The caller speaks as packet 20 arrives.
    trace.sent_ns = [at_packet(20), at_packet(21)]
    trace.sent = [np.full(160, 1000, np.int16)] * 2
    recording.write_stereo(tmp_path / "call.wav", trace, talked.audio)
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        both = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
    assert np.flatnonzero(both[:, 0]).tolist() == list(range(20 * 160, 22 * 160))
    assert np.flatnonzero(both[:, 1])[0] == 2 * 160


def test_a_saved_call_is_its_owners_alone(tmp_path: Path) -> None:
    talked = assembled("{}")
    folder = tmp_path / "calls" / "today"
    recording.save(folder, talked.trace, talked.audio, {"said": "my card"})
    assert json.loads((folder / "call.json").read_text()) == {"said": "my card"}
    for made in (folder.parent, folder, folder / "call.wav", folder / "call.json"):
        assert made.stat().st_mode & 0o077 == 0, made
