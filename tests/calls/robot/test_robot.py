"""The robot on a real connector and an echo pipeline: what it says comes back, what it presses arrives."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from free_ports import free_port

from tellerline.robot import conversation, dial, measure, script
from tellerline.robot.media import Surroundings
from tellerline.robot.process import CallPlan, Event
from tellerline.robot.scenario import parse
from tellerline.robot.trace import CallTrace, Line
from tellerline.stack import Stack


def tone_line() -> Line:
    """A second and a half of a rising tone."""
    time = np.arange(12_000) / 8000
    return Line("a rising tone", (8000 * np.sin(2 * np.pi * (300 + 200 * time) * time)).astype(np.int16))


def place(
    uri: str, *steps: script.Step, calls: int = 1, codecs: tuple[str, ...] = ("PCMU",)
) -> list[CallTrace]:
    plans = [CallPlan(f"call {n}", uri, steps, max_seconds=30) for n in range(calls)]
    return asyncio.run(dial.place(plans, codecs=codecs))


@pytest.fixture
def uri(echo_stack: Stack) -> str:
    return echo_stack.state.lanes[0].sip_uri


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_what_is_said_comes_back(uri: str, codec: str) -> None:
    line = tone_line()
    (trace,) = place(uri, script.Say(0, line), script.Pause(1, 1000), codecs=(codec,))
    assert (trace.status, trace.ended_by, trace.codec) == (200, "caller", codec)
    audio = measure.BotAudio(trace)
    mark = trace.marks[0]
    heard = audio.between(mark.started_ns, mark.speech_ended_ns + 1_000_000_000).astype(np.float64)
    # The echo is the line itself, G.711 both ways. A busy machine may stretch it between two frames,
    # so it is looked for in pieces of 100 ms.
    pieces = np.split(line.samples.astype(np.float64), 15)
    matches = [np.abs(np.correlate(heard, piece, "valid")).max() / (piece @ piece) for piece in pieces]
    assert np.median(matches) == pytest.approx(1.0, abs=0.05)


def test_four_calls_at_once_arrive_whole(uri: str) -> None:
    traces = place(uri, script.Pause(0, 2000), calls=4)
    assert [trace.ended_by for trace in traces] == ["caller"] * 4
    assert len({trace.sip_call_id for trace in traces}) == 4
    for trace in traces:
        received = measure.reception(trace, measure.BotAudio(trace))
        assert (received.lost, received.duplicated) == (0, 0)
        assert received.packets >= 90
        assert len(trace.sent) == len(trace.sent_ns)


def _digits_in(log: Path) -> list[str]:
    return [
        line.split("ended, ")[1].split()[0] for line in log.read_text().splitlines() if "digits heard" in line
    ]


@pytest.mark.parametrize("method", ["rfc4733", "info"])
def test_digits_arrive(echo_stack: Stack, uri: str, method: str) -> None:
    log = echo_stack.state.log_folder / "pipeline@cpu-0.log"
    before = len(_digits_in(log))
    press = script.Press(0, "1937#", "1937#", "info" if method == "info" else "rfc4733")
    place(uri, press, script.Pause(1, 500))
    assert _digits_in(log)[before:] == ["5"]


def test_hold_stops_the_robots_rtp_and_the_call_goes_on(uri: str) -> None:
    (trace,) = place(
        uri, script.Pause(0, 400), script.Hold(1, 800), script.Say(2, tone_line()), script.Pause(3, 300)
    )
    assert trace.ended_by == "caller"
    (held, back), *_ = measure.hold_spans(trace)
    sent = np.array(trace.sent_ns)
    # The re-INVITE leaves a tick or two after the script asked for it.
    assert not ((sent > held + 200_000_000) & (sent < back - 500_000_000)).any()
    assert measure.BotAudio(trace).first_audible(back) is not None


def test_the_bots_audio_returns_as_echo_and_noise_is_added(uri: str) -> None:
    noise = (np.random.default_rng(3).standard_normal(8000) * 300).astype(np.int16)
    around = Surroundings(noise=noise, echo=True)
    (trace,) = asyncio.run(
        dial.place([CallPlan("noisy", uri, (script.Pause(0, 1500),), around, max_seconds=20)])
    )
    level = np.sqrt(np.mean(np.concatenate(trace.sent[25:]).astype(np.float64) ** 2))
    # Noise of 300 RMS, the echo of its echo far below it.
    assert level == pytest.approx(300, rel=0.1)


def test_a_call_nobody_takes_says_so() -> None:
    uri = f"sip:x@127.0.0.1:{free_port()};transport=tcp"
    plan = CallPlan("nobody", uri, (script.Pause(0, 100),), max_seconds=10)
    (trace,) = asyncio.run(dial.place([plan]))
    assert not trace.answered
    talked = conversation.assemble(trace, parse("name: x\nturns: [{}]", "x"), None, None)
    assert not talked.passed


def test_events_tell_the_call_as_it_happens(uri: str) -> None:
    events: list[Event] = []
    plan = CallPlan("told", uri, (script.Say(0, tone_line()), script.Press(1, "99", "••")), max_seconds=20)
    asyncio.run(dial.place([plan], events.append))
    assert [event.kind for event in events] == ["answered", "say", "digits", "ended"]
    assert [event.text for event in events if event.kind == "digits"] == ["••"]


def test_a_scenario_of_recordings_needs_no_model(echo_stack: Stack, uri: str, tmp_path: Path) -> None:
    """`tellerline call --to`: anything that speaks SIP, here without a Watch stream."""
    import wave

    with wave.open(str(tmp_path / "line.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(tone_line().samples.tobytes())
    (tmp_path / "echo.yml").write_text(
        "name: echo\nturns:\n  - say: {wav: line.wav, text: a tone}\n    expect: {answered: false}\n"
        "  - wait_ms: 300\n  - digits: {keys: '4711', secret: true}\n    expect: {answered: false}\n"
    )
    command = (sys.executable, "-m", "tellerline", "call", str(tmp_path / "echo.yml"), "--to", uri, "--json")
    done = subprocess.run(
        (*command, "--out", str(tmp_path / "out"), "--no-hear"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["passed"]
    assert [turn["kind"] for turn in document["turns"]] == ["say", "wait", "digits"]
    assert "4711" not in done.stdout + done.stderr
    assert (tmp_path / "out" / "call.wav").stat().st_size > 16_000
    assert json.loads((tmp_path / "out" / "call.json").read_text()) == document
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("arguments", [("no_such",), ("--to", "not a uri", "--say", "hello")])
def test_bad_input_exits_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tellerline", "call", *arguments, "--out", str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "tellerline:" in done.stderr
    assert "Traceback" not in done.stderr
