"""Figures from synthetic packet traces."""

import numpy as np
import pytest
from packet_traces import ACK_NS, MS, at_packet, call, loud, spoke

from tellerline.robot import measure
from tellerline.robot.g711 import PCMU
from tellerline.robot.trace import Mark, speech_bounds


def test_an_answer_counts_from_the_last_sound_to_the_first_sample_by_arrival() -> None:
    trace = call(60, {n: loud() for n in range(41, 55)} | {40: loud(80, 159)}, jitter_ms={40: 3.0})
    found = measure.answer(measure.BotAudio(trace), spoke(5, 20), trace.ended_ns)
    # 20 packets later, 3 ms late, and 80 samples into its packet.
    assert found.voice_to_voice_ms == pytest.approx(400 + 3 + 10)
    assert not found.overlapped
    assert not found.talked_over


def test_sound_below_the_threshold_is_no_answer() -> None:
    trace = call(60, {n: loud(level=150) for n in range(30, 50)})
    assert measure.answer(measure.BotAudio(trace), spoke(5, 20), trace.ended_ns).first_sample_ns is None


def test_a_bot_still_speaking_gives_no_figure() -> None:
    trace = call(60, {n: loud() for n in range(0, 30)})
    found = measure.answer(measure.BotAudio(trace), spoke(5, 20), trace.ended_ns)
    assert found.overlapped
    assert found.voice_to_voice_ms is None


def test_a_bot_that_starts_before_the_caller_ended_talks_over() -> None:
    trace = call(60, {n: loud() for n in range(12, 15)} | {40: loud()})
    found = measure.answer(measure.BotAudio(trace), spoke(5, 25), trace.ended_ns)
    assert found.talked_over
    assert found.voice_to_voice_ms == pytest.approx(300)


def test_a_comfort_tone_is_counted_apart() -> None:
    tone = (6000 * np.sin(np.arange(160) * 2 * np.pi * 400 / 8000)).astype(np.int16)
    sounds = {n: PCMU.encode(tone) for n in range(25, 35)} | {n: loud() for n in range(50, 60)}
    found = measure.answer(measure.BotAudio(call(70, sounds)), spoke(5, 20), at_packet(70))
    assert found.tones == 1
    assert found.voice_to_voice_ms == pytest.approx(600)


def test_silence_counts_to_the_last_sample_before_the_caller_had_finished() -> None:
    # The bot pauses, goes on once more, and then yields; the answer comes after the caller's end.
    sounds = {n: loud() for n in [*range(0, 15), *range(22, 24), *range(60, 70)]}
    trace = call(80, sounds)
    silent = measure.silence_ms(measure.BotAudio(trace), spoke(10, 50, "interrupt"))
    assert silent == pytest.approx((24 - 10) * 20, abs=0.2)


def test_a_bot_that_was_silent_cannot_be_interrupted() -> None:
    trace = call(80, {n: loud() for n in range(0, 5)})
    assert measure.silence_ms(measure.BotAudio(trace), spoke(40, 60, "interrupt")) is None


def test_loss_is_counted_over_the_wrap_of_sequence_numbers() -> None:
    trace = call(50, missing=[3, 20, 21])
    trace.datagrams.append(trace.datagrams[-1])
    trace.arrived_ns.append(trace.arrived_ns[-1] + MS)
    found = measure.reception(trace, measure.BotAudio(trace))
    assert (found.packets, found.lost, found.duplicated, found.reordered) == (48, 3, 1, 0)


def test_late_packets_show_as_gaps() -> None:
    trace = call(101, jitter_ms={50: 15.0})
    gaps = measure.reception(trace, measure.BotAudio(trace)).gaps
    assert gaps is not None
    assert gaps.p50_ms == pytest.approx(20)
    assert gaps.max_ms == pytest.approx(35)


def test_time_on_hold_is_no_gap() -> None:
    trace = call(100, missing=range(20, 60))
    trace.marks = [Mark(0, "hold", at_packet(18)), Mark(0, "unhold", at_packet(58))]
    gaps = measure.reception(trace, measure.BotAudio(trace)).gaps
    assert gaps is not None
    assert gaps.max_ms == pytest.approx(20)


def test_the_greeting_counts_from_the_ack() -> None:
    greeting = measure.greeting(trace := call(40, {6: loud()}), measure.BotAudio(trace))
    assert greeting.first_packet_ms == pytest.approx(10)
    assert greeting.first_audible_ms == pytest.approx(130)


def test_what_follows_the_callers_first_word_is_no_greeting() -> None:
    trace = call(40, {30: loud()})
    trace.marks = [spoke(5, 20)]
    assert measure.greeting(trace, measure.BotAudio(trace)).first_audible_ms is None


def test_speech_ends_at_the_last_sample_within_40_db_of_the_peak() -> None:
    samples = np.zeros(1000, np.int16)
    samples[100], samples[500], samples[700] = 10_000, 100, 99
    assert speech_bounds(samples) == (100, 500)


def test_frames_lie_together_until_they_stray() -> None:
    times = np.array([ACK_NS, ACK_NS + 23 * MS, ACK_NS + 38 * MS, ACK_NS + 200 * MS], np.int64)
    frames = [np.full(160, value, np.int16) for value in (1, 2, 3, 4)]
    placed = measure.place_frames(times, frames, ACK_NS, 1800)
    assert placed[:480].tolist() == [1] * 160 + [2] * 160 + [3] * 160
    assert placed[1600:1760].tolist() == [4] * 160
    assert not placed[480:1600].any()
