"""Scenario files: what they become, and what is said about wrong ones."""

from pathlib import Path

import numpy as np
import pytest

import tellerline.robot
from tellerline.errors import ScenarioError
from tellerline.robot import scenario, script
from tellerline.robot.trace import Line

SCENARIOS = Path(tellerline.robot.__file__).parent / "scenarios"
LINE = Line("words", np.zeros(160, np.int16))


def test_a_scenario_becomes_steps() -> None:
    parsed = scenario.parse(
        """
name: all of it
quiet_ms: 500
turns:
  - expect: {answer: hello}
  - say: One
  - interrupt: {after_ms: 300, say: Two}
  - digits: "12"
  - digits: {keys: "0345", method: info, secret: true}
  - hold_ms: 200
  - wait_ms: 100
  - say: Bye
    expect: {ends_within_ms: 1000}
""",
        "test.yml",
    )
    steps = scenario.steps(parsed, {1: LINE, 2: LINE, 7: LINE})
    assert steps == (
        script.AwaitAnswer(0, 10_000, 500),
        script.Say(1, LINE),
        script.AwaitAnswer(1, 10_000, 500, to_end=False),
        script.Say(2, LINE, 300),
        script.AwaitAnswer(2, 10_000, 500),
        script.Press(3, "12", "12"),
        script.AwaitAnswer(3, 10_000, 500),
        script.Press(4, "0345", "••••", "info"),
        script.AwaitAnswer(4, 10_000, 500),
        script.Hold(5, 200),
        script.Pause(6, 100),
        script.Say(7, LINE),
        script.AwaitEnd(7, 3_000),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("turns: [", "bad.yml:1: is not YAML"),
        ("- say: x", "bad.yml:1: must be a mapping"),
        ("name: x\nturns: []", "bad.yml:2: turns"),
        (
            "name: x\nturns:\n  - say: a\n  - sey: b",
            "bad.yml:4: turns.1.sey: no such key here; there are: say",
        ),
        (
            "name: x\nturns:\n  - say: a\n    expect: {answered_in: 3}",
            "bad.yml:4: turns.0.expect.answered_in",
        ),
        (
            "name: x\nturns:\n  - say: a\n    hang_up: true",
            "bad.yml:3: turns.0: Value error, does say and hang_up",
        ),
        ("name: x\nturns:\n  - say: a\n  - expect: {}", "turn 2 does nothing"),
        ("name: x\nturns:\n  - interrupt: {after_ms: 1, say: a}", "before the bot has said anything"),
        ("name: x\nturns:\n  - digits: 12x", "bad.yml:3: turns.0.digits.keys"),
        ("name: x\nvoice:\n  pitch: 9\nturns: [{say: a}]", "bad.yml:3: voice.pitch"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        scenario.parse(text, "bad.yml")
    assert complaint in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        scenario.load(tmp_path / "none.yml")


def test_the_first_call_has_a_barge_in_and_a_key_among_six_turns() -> None:
    first_call = scenario.load(SCENARIOS / "first_call.yml")
    actions = [turn.actions for turn in first_call.turns if turn.actions]
    assert len(actions) >= 6
    assert ("interrupt",) in actions
    assert ("digits",) in actions
