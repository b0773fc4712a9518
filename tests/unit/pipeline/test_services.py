"""What the model is shown of a conversation, and words between their audio."""

from __future__ import annotations

from pipecat.frames.frames import TTSAudioRawFrame, TTSTextFrame

from tellerline.pipeline.services import CONTEXT_MESSAGES, interleaved, recent
from tellerline.rpc import engine_pb2 as pb


def conversation(count: int) -> list[pb.Message]:
    return [pb.Message(role="user" if i % 2 else "assistant", content=str(i)) for i in range(count)]


def test_a_short_conversation_is_shown_whole() -> None:
    assert recent(conversation(CONTEXT_MESSAGES)) == conversation(CONTEXT_MESSAGES)


def test_the_start_of_a_long_one_moves_rarely() -> None:
    starts = [int(recent(conversation(count))[0].content) for count in range(1, 5 * CONTEXT_MESSAGES)]
    assert sorted(starts) == starts
    assert len(set(starts)) == 5
    assert all(len(recent(conversation(n))) <= CONTEXT_MESSAGES for n in range(1, 100))
    assert all(recent(conversation(n))[-1].content == str(n - 1) for n in range(1, 100))


def test_each_word_follows_its_audio() -> None:
    words = [
        pb.SpokenWord(text="hello", start_ms=0, end_ms=300),
        pb.SpokenWord(text="there.", start_ms=300, end_ms=700),
    ]
    frames = list(interleaved(bytes(16 * 800), words, 0, "context", True))
    kinds = [
        len(frame.audio) // 16 if isinstance(frame, TTSAudioRawFrame) else frame.text
        for frame in frames
        if isinstance(frame, (TTSAudioRawFrame, TTSTextFrame))
    ]
    assert kinds == [300, "hello", 400, "there.", 100]


def test_words_of_a_later_chunk_count_from_the_start_of_the_reply() -> None:
    words = [pb.SpokenWord(text="late", start_ms=1000, end_ms=1200)]
    frames = list(interleaved(bytes(16 * 400), words, 1000, "context", False))
    assert isinstance(frames[0], TTSAudioRawFrame)
    assert len(frames[0].audio) == 16 * 200
    assert isinstance(frames[1], TTSTextFrame)
    assert not frames[1].append_to_context
