from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellerline.connector.media import SILENCE, TICK_BYTES, Handover, PlayOut, Seat, load_phrase
from tellerline.errors import SettingsError

ONES, TWOS = b"\x01\x00" * 160, b"\x02\x00" * 160


@pytest.fixture
def playout() -> PlayOut:
    return PlayOut()


def _take(playout: PlayOut, ticks: int) -> bytes:
    return b"".join(playout.take() for _ in range(ticks))


def test_silence_when_nothing_is_due(playout: PlayOut) -> None:
    assert playout.take() == SILENCE
    assert playout.played_samples == 0


@given(st.lists(st.binary(max_size=2000), max_size=12))
def test_any_chunks_come_out_as_they_went_in(chunks: list[bytes]) -> None:
    playout = PlayOut()
    for chunk in chunks:
        playout.push(chunk)
    whole = b"".join(chunk[: len(chunk) & ~1] for chunk in chunks)
    ticks = -(-len(whole) // TICK_BYTES)
    assert _take(playout, ticks) == whole.ljust(ticks * TICK_BYTES, b"\0")
    assert playout.played_samples == len(whole) // 2
    assert playout.take() == SILENCE


def test_pause_keeps_the_queue_and_the_count(playout: PlayOut) -> None:
    playout.push(ONES + TWOS)
    assert playout.take() == ONES
    playout.pause()
    assert playout.take() == SILENCE
    assert playout.played_samples == 160
    playout.resume()
    assert playout.take() == TWOS
    assert playout.played_samples == 320


def test_flushed_samples_never_count_and_the_pause_ends(playout: PlayOut) -> None:
    playout.push(ONES * 10)
    playout.take()
    playout.pause()
    playout.flush()
    playout.push(TWOS)
    assert playout.take() == TWOS
    assert playout.played_samples == 320


def test_hold_consumes_nothing(playout: PlayOut) -> None:
    playout.push(ONES)
    playout.hold(True)
    assert playout.take() == SILENCE
    playout.hold(False)
    assert playout.take() == ONES


def test_a_phrase_pre_empts_even_a_pause_and_counts_nothing(playout: PlayOut) -> None:
    playout.push(ONES * 5)
    playout.pause()
    playout.play_phrase(TWOS + b"\x02\x00")
    playout.push(ONES)
    assert playout.take() == TWOS
    assert playout.take() == b"\x02\x00".ljust(TICK_BYTES, b"\0")
    assert playout.played_samples == 0
    assert playout.take() == ONES


def test_drained_only_after_the_far_ends_buffer_had_time(playout: PlayOut) -> None:
    playout.push(ONES)
    assert not playout.drained
    playout.take()
    assert not playout.drained
    _take(playout, 10)
    assert playout.drained
    playout.push(ONES)
    assert not playout.drained


def test_a_hole_in_a_sentence_is_an_underrun_and_a_pause_between_two_is_not(playout: PlayOut) -> None:
    playout.push(ONES)
    _take(playout, 3)
    playout.push(ONES)
    assert playout.underrun_ticks == 2
    _take(playout, 50)
    playout.push(ONES)
    assert playout.underrun_ticks == 2


def test_a_new_attachment_counts_from_zero(playout: PlayOut) -> None:
    playout.push(ONES * 2)
    playout.take()
    playout.restart_count()
    assert playout.take() == SILENCE
    assert playout.played_samples == 0


async def test_frames_of_all_seats_reach_the_loop_in_order() -> None:
    heard: list[tuple[int, bytes, bytes]] = []
    done = asyncio.Event()

    def deliver(seat: int, pcm: bytes, played: bytes, captured_ns: int) -> None:
        heard.append((seat, pcm, played))
        if len(heard) == 6:
            done.set()

    handover = Handover(asyncio.get_running_loop(), deliver)
    seats = [Seat(index, handover) for index in range(3)]
    for seat in seats[:2]:
        seat.playout = PlayOut()
    assert seats[1].playout is not None
    seats[1].playout.push(TWOS)

    def clock() -> None:
        for pcm in (ONES, TWOS, b"short"):
            for seat in seats:
                seat.take()
                seat.give(pcm)

    await asyncio.to_thread(clock)
    await asyncio.wait_for(done.wait(), 5)
    # The third seat is empty; what is no whole frame is silence. Each comes with what was played meanwhile.
    assert heard == [
        (0, ONES, SILENCE),
        (1, ONES, TWOS),
        (0, TWOS, SILENCE),
        (1, TWOS, SILENCE),
        (0, SILENCE, SILENCE),
        (1, SILENCE, SILENCE),
    ]


def _wav(path: Path, rate_hz: int, pcm: bytes) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return path


def test_load_phrase(tmp_path: Path) -> None:
    assert load_phrase(_wav(tmp_path / "apology.wav", 8000, ONES)) == ONES


@pytest.mark.parametrize(("rate_hz", "pcm"), [(16000, ONES), (8000, b"")], ids=["rate", "empty"])
def test_a_wrong_phrase_is_refused_with_its_name(tmp_path: Path, rate_hz: int, pcm: bytes) -> None:
    with pytest.raises(SettingsError, match=r"apology\.wav.*must be 8000 Hz.*phrases render"):
        load_phrase(_wav(tmp_path / "apology.wav", rate_hz, pcm))


def test_a_missing_phrase_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"goodbye\.wav"):
        load_phrase(tmp_path / "goodbye.wav")
