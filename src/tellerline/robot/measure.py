"""Figures from a call's packets: no decoder, no jitter buffer, arrival times as the kernel stamped them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tellerline.robot import rtp
from tellerline.robot.g711 import BY_PAYLOAD_TYPE, Samples
from tellerline.robot.media import AUDIBLE
from tellerline.robot.trace import CallTrace, Mark

_SAMPLE_NS = 1_000_000_000 // rtp.RATE_HZ
# Sound this close before the end of the caller's speech belongs to an answer that was still running.
_OVERLAP_NS = 100_000_000
# Sounds of the bot this far apart are different ones.
_APART_NS = 100_000_000
# Packets may stray this far from their place before a timeline is anchored anew.
_STRAY_SAMPLES = 320


@dataclass(frozen=True)
class Gaps:
    """Distances between consecutive arrivals in milliseconds, time on hold left out."""

    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class Reception:
    """What arrived of the bot's RTP."""

    packets: int
    lost: int
    duplicated: int
    reordered: int
    gaps: Gaps | None


class BotAudio:
    """The bot's side of a call, by packet arrival.

    A sample's time is the arrival of its packet plus its offset within it.
    """

    def __init__(self, trace: CallTrace) -> None:
        parsed = ((at, rtp.parse(data)) for at, data in zip(trace.arrived_ns, trace.datagrams, strict=True))
        self.packets = [(at, p) for at, p in parsed if p is not None and p.payload_type in BY_PAYLOAD_TYPE]
        self.arrived_ns = np.array([at for at, _ in self.packets], np.int64)
        self.frames: list[Samples] = [
            BY_PAYLOAD_TYPE[p.payload_type].decode(p.payload) for _, p in self.packets
        ]
        first: list[int] = []
        last: list[int] = []
        for (at, _), frame in zip(self.packets, self.frames, strict=True):
            loud = np.flatnonzero(np.abs(frame.astype(np.int32)) > AUDIBLE)
            first.append(at + int(loud[0]) * _SAMPLE_NS if len(loud) else 0)
            last.append(at + int(loud[-1]) * _SAMPLE_NS if len(loud) else 0)
        heard = np.array(first, np.int64) > 0
        self._first_ns = np.array(first, np.int64)[heard]
        self._last_ns = np.array(last, np.int64)[heard]

    def first_audible(self, after_ns: int, before_ns: int | None = None) -> int | None:
        """Time of the first audible sample at or after `after_ns` (to a packet), or None."""
        found = self._first_ns[self._first_ns >= after_ns]
        if not len(found) or (before_ns is not None and found[0] >= before_ns):
            return None
        return int(found[0])

    def last_audible(self, before_ns: int) -> int | None:
        """Time of the last audible sample before `before_ns`, or None."""
        found = self._last_ns[self._last_ns < before_ns]
        return int(found[-1]) if len(found) else None

    def sounds(self, after_ns: int, before_ns: int) -> list[tuple[int, int]]:
        """Stretches of audible sound in the span, apart by at least 100 ms of silence."""
        inside = (self._first_ns >= after_ns) & (self._first_ns < before_ns)
        stretches: list[tuple[int, int]] = []
        for first, last in zip(self._first_ns[inside], self._last_ns[inside], strict=True):
            if stretches and first - stretches[-1][1] < _APART_NS:
                stretches[-1] = (stretches[-1][0], int(last))
            else:
                stretches.append((int(first), int(last)))
        return stretches

    def between(self, after_ns: int, before_ns: int) -> Samples:
        """The samples of the packets that arrived in the span, one after the other."""
        inside = (self.arrived_ns >= after_ns) & (self.arrived_ns < before_ns)
        chosen = [frame for frame, wanted in zip(self.frames, inside, strict=True) if wanted]
        return np.concatenate(chosen) if chosen else np.zeros(0, np.int16)


def reception(trace: CallTrace, audio: BotAudio) -> Reception:
    """Loss by sequence numbers (RFC 3550 A.3), and arrival gaps.

    Packets of the whole call count, a new SSRC (as after a re-INVITE) starts a new count.
    """
    lost = duplicated = reordered = 0
    by_source: dict[int, list[int]] = {}
    for _, packet in audio.packets:
        by_source.setdefault(packet.ssrc, []).append(packet.sequence)
    for sequences in by_source.values():
        unwrapped = np.unwrap(np.array(sequences, np.float64), period=65536).astype(np.int64)
        distinct = len(np.unique(unwrapped))
        lost += int(unwrapped.max() - unwrapped.min() + 1) - distinct
        duplicated += len(unwrapped) - distinct
        reordered += int((np.diff(unwrapped) < 0).sum())
    return Reception(len(audio.packets), lost, duplicated, reordered, _gaps(trace, audio.arrived_ns))


def _gaps(trace: CallTrace, arrived_ns: npt.NDArray[np.int64]) -> Gaps | None:
    starts, ends = arrived_ns[:-1], arrived_ns[1:]
    counted = np.ones(len(starts), bool)
    for held_ns, back_ns in hold_spans(trace):
        counted &= (ends < held_ns) | (starts > back_ns)
    gaps = (ends - starts)[counted] / 1e6
    if not len(gaps):
        return None
    p50, p99 = np.percentile(gaps, [50, 99])
    return Gaps(float(p50), float(p99), float(gaps.max()))


def hold_spans(trace: CallTrace) -> list[tuple[int, int]]:
    """When the caller held the line, 500 ms of re-negotiation behind it included."""
    spans, held = [], 0
    for mark in trace.marks:
        if mark.kind == "hold":
            held = mark.started_ns
        elif mark.kind == "unhold":
            spans.append((held, mark.started_ns + 500_000_000))
    return spans


@dataclass(frozen=True)
class Answer:
    """What followed one thing the caller did."""

    # First audible sample of the answer, and the last caller sound before it; None: no answer.
    first_sample_ns: int | None
    voice_to_voice_ms: float | None
    # The bot could still be heard when the caller fell silent: the figure above is not an answer's.
    overlapped: bool
    # The bot began to speak while the caller still spoke.
    talked_over: bool
    # Comfort tones before the answer.
    tones: int


def answer(audio: BotAudio, mark: Mark, until_ns: int) -> Answer:
    """The answer to `mark`: the first sound after the caller's last, comfort tones counted apart."""
    ended = mark.speech_ended_ns
    sounds = audio.sounds(ended, until_ns)
    tones = 0
    while sounds and is_tone(audio.between(sounds[0][0] - rtp.FRAME_NS, sounds[0][1])):
        sounds.pop(0)
        tones += 1
    last = audio.last_audible(ended)
    running = last is not None and last > ended - _OVERLAP_NS
    during = audio.first_audible(mark.speech_started_ns, ended)
    before = audio.last_audible(mark.speech_started_ns)
    was_quiet = before is None or before < mark.speech_started_ns - _APART_NS
    first = sounds[0][0] if sounds else None
    return Answer(
        first_sample_ns=first,
        voice_to_voice_ms=(first - ended) / 1e6 if first is not None and not running else None,
        overlapped=running,
        talked_over=was_quiet and during is not None,
        tones=tones,
    )


def silence_ms(audio: BotAudio, mark: Mark) -> float | None:
    """Caller's first sound to the bot's last audible sample before the caller had finished; barge-in.

    None where the bot had been silent already. A bot that stops and then goes on before the caller
    has finished is not silent: the later sample counts.
    """
    before = audio.last_audible(mark.speech_started_ns)
    last = audio.last_audible(mark.speech_ended_ns)
    if before is None or last is None or before < mark.speech_started_ns - 2 * _APART_NS:
        return None
    return max(0.0, (last - mark.speech_started_ns) / 1e6)


def is_tone(samples: Samples) -> bool:
    """Whether a sound is a beep: nine tenths of its energy within 40 Hz of one frequency."""
    if len(samples) < 400:
        return False
    window = samples[:3200].astype(np.float64)
    power = np.abs(np.fft.rfft(window * np.hanning(len(window)))) ** 2
    around = max(1, round(40 * len(window) / rtp.RATE_HZ))
    peak = int(power.argmax())
    return bool(power[max(0, peak - around) : peak + around + 1].sum() > 0.9 * power.sum())


@dataclass(frozen=True)
class Greeting:
    """From the ACK; None where nothing came. Early media counts as 0."""

    first_packet_ms: float | None
    first_audible_ms: float | None


def greeting(trace: CallTrace, audio: BotAudio) -> Greeting:
    """First packet, and first audible sample, after the ACK."""
    acknowledged = trace.acknowledged_ns
    first = int(audio.arrived_ns[0]) if len(audio.arrived_ns) else None
    # What is heard once the caller has spoken is an answer.
    spoken = [mark.started_ns for mark in trace.marks]
    audible = audio.first_audible(0, spoken[0] if spoken else None)
    return Greeting(
        None if first is None else max(0.0, (first - acknowledged) / 1e6),
        None if audible is None else max(0.0, (audible - acknowledged) / 1e6),
    )


def place_frames(
    times_ns: npt.NDArray[np.int64], frames: list[Samples], origin_ns: int, total: int
) -> Samples:
    """Frames on one 8,000 Hz timeline from `origin_ns`: contiguous while within 40 ms of their times."""
    line = np.zeros(total, np.int16)
    expected = None
    for at, frame in zip(times_ns, frames, strict=True):
        ideal = int((int(at) - origin_ns) // _SAMPLE_NS)
        place = ideal if expected is None or abs(ideal - expected) > _STRAY_SAMPLES else expected
        if 0 <= place < total:
            end = min(total, place + len(frame))
            line[place:end] = frame[: end - place]
        expected = place + len(frame)
    return line
