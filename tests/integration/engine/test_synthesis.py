"""Synthesis over gRPC: whole sentences, at once audible, with their words in place."""

import itertools

import grpc
import pytest

from tellerline.engine import audio

from .conftest import Caller

_TEXT = "Your card is blocked. A new one will arrive on Monday."


def loudness(pcm: bytes) -> audio.Samples:
    return abs(audio.from_pcm(pcm))


async def test_each_sentence_comes_by_itself(caller: Caller) -> None:
    replies = await caller.speak(_TEXT)
    assert [" ".join(word.text for word in reply.words) for reply in replies] == [
        "Your card is blocked.",
        "A new one will arrive on Monday.",
    ]


async def test_words_lie_in_order_inside_the_audio(caller: Caller) -> None:
    replies = await caller.speak(_TEXT)
    placed = [word for reply in replies for word in reply.words]
    total_ms = sum(len(reply.pcm) for reply in replies) // 16
    assert placed[0].start_ms == 0 and placed[-1].end_ms <= total_ms
    assert all(one.end_ms <= other.start_ms for one, other in itertools.pairwise(placed))


async def test_speech_begins_at_once(caller: Caller) -> None:
    [reply] = await caller.speak("I can help you with your balance.")
    start, _ = audio.sound(audio.from_pcm(reply.pcm), 8000)
    assert start <= 0.03 * 8000


async def test_the_tail_is_not_clipped(caller: Caller) -> None:
    for text in ("Yes.", "That is correct.", "Goodbye."):
        [reply] = await caller.speak(text)
        # A cut voice ends in mid-swing; a whole one has died away.
        assert loudness(reply.pcm)[-80:].max() < 0.02 < loudness(reply.pcm).max()


async def test_numbers_are_spoken_as_words(caller: Caller) -> None:
    spelled = await caller.pcm("Your balance is two hundred and fifty dollars.")
    written = await caller.pcm("Your balance is $250.")
    left_out = await caller.pcm("Your balance is.")
    assert len(left_out) < 0.7 * len(written) and len(written) > 0.7 * len(spelled)


async def test_slower_is_longer(caller: Caller) -> None:
    text = "One, two, three, four, five, six, seven."
    lengths = [sum(len(r.pcm) for r in await caller.speak(text, speed=speed)) for speed in (0.7, 1.0, 1.5)]
    assert lengths == sorted(lengths, reverse=True)


async def test_another_rate_has_as_much_audio(caller: Caller) -> None:
    [reply] = await caller.speak("Good morning.", rate_hz=16000)
    seconds = len(reply.pcm) / 32000
    assert 0.3 < seconds < 2.0


async def test_a_fixed_phrase_is_made_once(caller: Caller) -> None:
    text = "Thank you for calling. Goodbye."
    first = await caller.speak(text, fixed_phrase=True)
    second = await caller.speak(text, fixed_phrase=True)
    assert [reply.cached for reply in second] == [True, True]
    assert [reply.pcm for reply in second] == [reply.pcm for reply in first]


async def test_personal_text_is_not_kept(caller: Caller) -> None:
    text = "Your balance is ninety dollars."
    assert [reply.cached for _ in range(2) for reply in await caller.speak(text)] == [False, False]


async def test_turkish_is_spoken_by_a_voice_of_its_own(caller: Caller) -> None:
    text = "Kartınız yolda. Bir dakika lütfen."
    replies = await caller.speak(text, language="tr-TR")
    assert [word.text for reply in replies for word in reply.words] == text.split()
    english = await caller.speak(text, language="en")
    assert b"".join(reply.pcm for reply in replies) != b"".join(reply.pcm for reply in english)
    total_ms = sum(len(reply.pcm) for reply in replies) // 16
    start, _ = audio.sound(audio.from_pcm(replies[0].pcm), 8000)
    assert 1000 < total_ms < 5000 and start <= 0.03 * 8000
    assert replies[-1].words[-1].end_ms <= total_ms


async def test_the_turkish_voice_keeps_fixed_phrases_and_goes_slower(caller: Caller) -> None:
    text = "Size nasıl yardımcı olabilirim?"
    first = await caller.speak(text, language="tr", fixed_phrase=True)
    again = await caller.speak(text, language="tr", fixed_phrase=True)
    assert again[0].cached and again[0].pcm == first[0].pcm
    slowly = await caller.speak(text, language="tr", speed=0.8)
    assert len(slowly[0].pcm) > 1.1 * len(first[0].pcm)


async def test_no_text_is_no_audio(caller: Caller) -> None:
    assert b"".join([reply.pcm for text in ("", " ", "...") for reply in await caller.speak(text)]) == b""
    assert b"".join([reply.pcm for reply in await caller.speak(" ", language="tr")]) == b""


async def test_a_cancelled_synthesis_frees_the_voice(caller: Caller, other_caller: Caller) -> None:
    request_text = " ".join(["This sentence will not be heard by anybody at all."] * 40)
    speaking = caller.synthesis.Synthesize(_request(caller, request_text), timeout=30)
    async for _ in speaking:
        break
    speaking.cancel()
    # Forty sentences would take longer than this deadline.
    request = _request(other_caller, "Hello.")
    assert [reply async for reply in other_caller.synthesis.Synthesize(request, timeout=5)]


def _request(caller: Caller, text: str):  # type: ignore[no-untyped-def]
    from tellerline.rpc import engine_pb2

    return engine_pb2.SynthesizeRequest(call_id=caller.call_id, turn_id=1, text=text)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"voice": "amy"}, "voices: en-us-joe-medium"),
        ({"rate_hz": 44}, "rates: 8000"),
        ({"speed": 9.0}, "speed"),
    ],
)
async def test_what_cannot_be_spoken_is_refused(
    caller: Caller, options: dict[str, object], complaint: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=complaint):
        await caller.speak("Hello.", **options)
