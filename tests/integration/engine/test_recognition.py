"""Recognition over gRPC: one contract for every recogniser, then what each is for."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest

from tellerline.engine import audio
from tellerline.engine.self_test import distance

from .conftest import Caller, wav_pcm, words

_LINE = "What is the balance of my account?"


@pytest.fixture(params=["whisper", "vosk"])
async def spoken(request: pytest.FixtureRequest, caller: Caller, korean: bytes) -> tuple[str, bytes]:
    """A recogniser, and speech in the language it knows."""
    return request.param, korean if request.param == "vosk" else await caller.pcm(_LINE)


async def test_speech_becomes_text(caller: Caller, spoken: tuple[str, bytes]) -> None:
    engine, pcm = spoken
    transcript = await caller.hear(pcm, engine)
    assert transcript.text
    assert transcript.sequence == 1
    assert transcript.audio_ms == len(pcm) // 16


async def test_the_same_audio_twice_gives_the_same_text(caller: Caller, spoken: tuple[str, bytes]) -> None:
    engine, pcm = spoken
    assert (await caller.hear(pcm, engine)).text == (await caller.hear(pcm, engine)).text


async def test_finalize_may_come_again_after_more_audio(caller: Caller, spoken: tuple[str, bytes]) -> None:
    engine, pcm = spoken
    half = len(pcm) // 2 & ~1
    async with caller.listen(engine) as listening:
        await listening.audio(pcm[:half])
        first = await listening.finalize(1)
        await listening.audio(pcm[half:])
        second = await listening.finalize(2)
    assert (first.sequence, second.sequence) == (1, 2)
    assert second.audio_ms > first.audio_ms
    assert len(second.text) > len(first.text)


async def test_a_later_finalize_supersedes(caller: Caller, spoken: tuple[str, bytes]) -> None:
    engine, pcm = spoken
    async with caller.listen(engine) as listening:
        await listening.audio(pcm)
        for sequence in range(1, 9):
            await listening.ask(sequence)
        answered = []
        while not answered or answered[-1] != 8:
            answered.append((await listening.final()).sequence)
    assert len(answered) < 8


async def test_silence_is_empty(caller: Caller, spoken: tuple[str, bytes]) -> None:
    engine, _ = spoken
    assert (await caller.hear(bytes(16_000), engine)).text == ""


async def test_a_cancelled_stream_leaves_the_recogniser_free(
    caller: Caller, spoken: tuple[str, bytes]
) -> None:
    engine, pcm = spoken
    for _ in range(8):
        async with caller.listen(engine) as listening:
            await listening.audio(pcm)
            await listening.ask(1)
    assert (await caller.hear(pcm, engine)).text


async def test_callers_at_once_each_get_their_own(caller: Caller, other_caller: Caller) -> None:
    lines = (_LINE, "Please pay my electricity bill today.")
    spoken = [await caller.pcm(line) for line in lines]
    heard = await asyncio.gather(caller.hear(spoken[0]), other_caller.hear(spoken[1]))
    # Piper never says a line twice alike, so a word may be misheard; not all of them.
    assert [distance(line, one.text) < 3 for line, one in zip(lines, heard, strict=True)] == [True, True]


_LINES = (
    _LINE,
    "Good morning, can you help me with my card?",
    "Please pay my electricity bill today.",
    "Where is my new card, it has not arrived.",
    "Thank you very much, goodbye.",
)


async def test_whisper_hears_lines_through_mu_law(caller: Caller) -> None:
    heard = [await caller.hear(await caller.pcm(line)) for line in _LINES]
    wrong = sum(distance(line, one.text) for line, one in zip(_LINES, heard, strict=True))
    assert wrong <= 0.2 * sum(len(line.split()) for line in _LINES)
    assert all(one.no_speech_prob < 0.6 and one.avg_logprob < 0 for one in heard)


def hum(rate_hz: int = 8000) -> audio.Samples:
    time = np.arange(rate_hz) / rate_hz
    harmonics = [np.sin(2 * np.pi * 100 * n * time) / n for n in range(1, 8)]
    return (0.1 * np.sum(harmonics, axis=0)).astype(np.float32)


def cough(rate_hz: int = 8000) -> audio.Samples:
    random = np.random.default_rng(7)
    time = np.arange(int(0.35 * rate_hz)) / rate_hz
    burst = random.normal(0, 0.3, time.size) * np.exp(-time / 0.08)
    return np.concatenate([burst, np.zeros(800), 0.6 * burst]).astype(np.float32)


def hiss(rate_hz: int = 8000) -> audio.Samples:
    return np.random.default_rng(3).normal(0, 0.05, 2 * rate_hz).astype(np.float32)


@pytest.mark.parametrize("noise", [hum, cough, hiss])
async def test_noise_never_becomes_text(caller: Caller, noise: Callable[[], audio.Samples]) -> None:
    transcript = await caller.hear(audio.to_pcm(noise()))
    assert (transcript.text, transcript.no_speech_prob >= 0.6) == ("", True)


async def test_a_kitchen_never_becomes_text(caller: Caller, shared_data: Path) -> None:
    kitchen = wav_pcm((shared_data / "noise-8k" / "kitchen.wav").read_bytes())
    pieces = [kitchen[at : at + 32_000] for at in range(0, min(len(kitchen), 160_000), 32_000)]
    assert [(await caller.hear(piece)).text for piece in pieces] == [""] * len(pieces)


async def test_vosk_tells_what_it_hears_as_it_hears_it(caller: Caller, korean: bytes) -> None:
    async with caller.listen("vosk", partials=True, language="ko") as listening:
        await listening.audio(korean)
        final = await listening.finalize(1)
    # The small model mishears espeak-ng's later syllables; the first three, "na-i-ga", are right.
    assert words(final.text)[:3] == ["나", "이", "가"]
    assert words(listening.partials[0])[0] == "나"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"engine": "julius"}, "no engine 'julius' here; there are: vosk, whisper"),
        ({"engine": "vosk", "language": "en"}, "knows ko"),
        ({"engine": "whisper", "language": "ko"}, "English only"),
    ],
)
async def test_what_cannot_be_recognised_is_refused(
    caller: Caller, options: dict[str, str], complaint: str
) -> None:
    async with caller.listen(**options) as listening:  # type: ignore[arg-type]
        with pytest.raises(grpc.aio.AioRpcError, match=complaint) as refused:
            await listening.final()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_audio_before_start_is_refused(caller: Caller) -> None:
    listening = caller.listen()
    listening.stream = caller.recognition.Recognize(timeout=10)
    await listening.audio(bytes(320))
    with pytest.raises(grpc.aio.AioRpcError, match="must be start"):
        await listening.final()
