"""Scenarios: what a caller says and does, and what must come of it, in small YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import Field

from tellerline.errors import ScenarioError
from tellerline.robot import script
from tellerline.robot.rtp import DIGITS
from tellerline.robot.trace import Line


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Expect(_Part):
    """What must follow a turn. What is not said is not asked for, except that lines and keys are answered."""

    # Last caller sound → first audible answer sample; of a greeting: ACK → first audible sample.
    answer_within_ms: Annotated[int, Field(gt=0)] | None = None
    # All of these words were recognised by the bot (needs a stack that may be watched).
    heard: tuple[str, ...] = ()
    # One of these phrases is in the answer as the robot heard it.
    answer: tuple[str, ...] = ()
    # First caller sound of an interruption → last audible bot sample.
    silent_within_ms: Annotated[int, Field(gt=0)] | None = None
    # The bot hangs up by then.
    ends_within_ms: Annotated[int, Field(gt=0)] | None = None
    # The bot transferred the call (REFER) to an address that holds this.
    transferred_to: str | None = None
    # False: nothing need be said.
    answered: bool = True

    @pydantic.field_validator("heard", "answer", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Recording(_Part):
    """A line from a WAV file beside the scenario, and its words."""

    wav: Path
    text: str = ""


class Digits(_Part):
    """Keys, how they are sent, and whether they may be shown."""

    keys: str
    method: Literal["rfc4733", "info"] = "rfc4733"
    secret: bool = False

    @pydantic.field_validator("keys", mode="before")
    @classmethod
    def _keypad(cls, value: object) -> str:
        keys = str(value).upper()
        if not keys or any(key not in DIGITS for key in keys):
            raise ValueError(f"keys are of {DIGITS}; quote them so that YAML keeps leading zeros")
        return keys


class Interrupt(_Part):
    """A line spoken over the bot, so long after the bot's first sound."""

    after_ms: Annotated[int, Field(ge=0, le=30_000)]
    say: str


class Noise(_Part):
    """Line noise under the whole call: generated, or a WAV file, at this RMS level."""

    level_db: Annotated[float, Field(ge=-90, le=0)] = -50.0
    wav: Path | None = None


class VoiceChoice(_Part):
    """How the caller sounds."""

    pitch: Annotated[float, Field(ge=0.6, le=1.6)] = 1.12
    tempo: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0


_ACTIONS = ("say", "digits", "interrupt", "wait_ms", "hold_ms", "hang_up")


class Turn(_Part):
    """One thing the caller does (or, first of all, the greeting they hear), and what must follow."""

    say: str | Recording | None = None
    digits: Digits | None = None
    interrupt: Interrupt | None = None
    wait_ms: Annotated[int, Field(ge=0, le=120_000)] | None = None
    hold_ms: Annotated[int, Field(ge=0, le=120_000)] | None = None
    hang_up: Literal[True] | None = None
    expect: Expect = Expect()

    @pydantic.field_validator("digits", mode="before")
    @classmethod
    def _plain_keys(cls, value: object) -> object:
        return {"keys": value} if isinstance(value, str | int) else value

    @pydantic.model_validator(mode="after")
    def _one_action(self) -> Turn:
        if len(self.actions) > 1:
            raise ValueError(f"does {' and '.join(self.actions)}; one turn does one thing")
        return self

    @property
    def actions(self) -> tuple[str, ...]:
        """What this turn does; empty for the greeting."""
        return tuple(name for name in _ACTIONS if getattr(self, name) is not None)


class Scenario(_Part):
    """One call."""

    name: str
    language: str = "en"
    # The user part dialled at the stack that runs here, where it answers that number in its own way.
    number: Annotated[str, Field(pattern=r"^[A-Za-z0-9+._-]{1,64}$")] | None = None
    voice: VoiceChoice = VoiceChoice()
    noise: Noise | None = None
    # The bot's own audio returns at -26 dB after 150 ms.
    echo: bool = False
    # How long an answer may take before the caller goes on, and the silence that ends one.
    answer_timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 10_000
    quiet_ms: Annotated[int, Field(ge=100, le=10_000)] = 1_000
    max_seconds: Annotated[float, Field(gt=0, le=3600)] = 300.0
    turns: Annotated[tuple[Turn, ...], Field(min_length=1)]

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Scenario:
        for index, turn in enumerate(self.turns):
            if not turn.actions and index:
                raise ValueError(f"turn {index + 1} does nothing; only the first may, to hear the greeting")
            if turn.interrupt and index == 0:
                raise ValueError("turn 1 interrupts before the bot has said anything; put a turn before it")
        return self


def load(path: Path) -> Scenario:
    """Reads a scenario file. Raises ScenarioError with file, line and what would be right."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror}); give a scenario file") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Scenario:
    """The scenario in `text`; `name` stands for the file in errors."""
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ScenarioError(f"{name}{line}: is not YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(data, dict):
        raise ScenarioError(f"{name}:1: must be a mapping with `name` and `turns`")
    try:
        return Scenario.model_validate(data)
    except pydantic.ValidationError as error:
        raise ScenarioError("\n".join(_explain(name, tree, e) for e in error.errors())) from error


def _explain(name: str, tree: yaml.Node | None, error: Any) -> str:
    node = tree
    line = tree.start_mark.line + 1 if tree else 1
    for part in error["loc"]:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == part]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{name}:{line}: {key}: no such key here; {_known(error['loc'])}"
    return f"{name}:{line}: {key or 'scenario'}: {error['msg']}"


def _known(loc: tuple[Any, ...]) -> str:
    places: dict[str, type[_Part]] = {
        "expect": Expect,
        "interrupt": Interrupt,
        "digits": Digits,
        "noise": Noise,
        "voice": VoiceChoice,
        "turns": Turn,
    }
    parents = [places[part] for part in loc[:-1] if part in places]
    kind = parents[-1] if parents else Scenario
    return "there are: " + ", ".join(kind.model_fields)


def steps(scenario: Scenario, lines: dict[int, Line]) -> tuple[script.Step, ...]:
    """What the robot does for `scenario`, given the rendered line of each turn that speaks."""
    plan: list[script.Step] = []
    for index, turn in enumerate(scenario.turns):
        expect = turn.expect
        if turn.interrupt is not None:
            plan.append(script.Say(index, lines[index], turn.interrupt.after_ms))
        elif turn.say is not None:
            plan.append(script.Say(index, lines[index]))
        elif turn.digits is not None:
            keys = turn.digits
            shown = "•" * len(keys.keys) if keys.secret else keys.keys
            plan.append(script.Press(index, keys.keys, shown, keys.method))
        elif turn.wait_ms is not None:
            plan.append(script.Pause(index, turn.wait_ms))
        elif turn.hold_ms is not None:
            plan.append(script.Hold(index, turn.hold_ms))
        elif turn.hang_up:
            plan.append(script.HangUp(index))
        if expect.ends_within_ms is not None:
            plan.append(script.AwaitEnd(index, expect.ends_within_ms + 2_000))
        elif _speaks(turn) and expect.answered:
            following = scenario.turns[index + 1] if index + 1 < len(scenario.turns) else None
            plan.append(
                script.AwaitAnswer(
                    index,
                    scenario.answer_timeout_ms,
                    scenario.quiet_ms,
                    to_end=following is None or following.interrupt is None,
                )
            )
    return tuple(plan)


def _speaks(turn: Turn) -> bool:
    return turn.say is not None or turn.interrupt is not None or turn.digits is not None or not turn.actions
