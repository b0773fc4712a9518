"""Settings of `tellerline pipeline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tellerline.settings.concern import Concern, Monitoring, ServiceAddresses, SocketPath
from tellerline.settings.providers import ProvidersSettings


class TurnSettings(Concern):
    """When a turn starts and ends. Milliseconds of voice or silence as Silero sees them."""

    # Voice before the caller counts as speaking (pauses the bot's play-out).
    start_ms: Annotated[int, Field(ge=32, le=1000)] = 100
    # Silence before the turn may end; recognition starts at the first silent window.
    stop_ms: Annotated[int, Field(ge=32, le=2000)] = 200
    # Silence after which the turn ends even if the turn model says it goes on.
    incomplete_stop_ms: Annotated[int, Field(ge=200, le=5000)] = 800
    # A paused sentence goes on if no word was recognised by then.
    resume_after_ms: Annotated[int, Field(ge=100, le=3000)] = 700


class CallLimits(Concern):
    """What ends a call that nobody ends."""

    silence_prompt_seconds: Annotated[float, Field(gt=0)] = 8.0
    silence_prompts: Annotated[int, Field(ge=0, le=5)] = 2
    max_call_seconds: Annotated[float, Field(gt=0)] = 1800.0
    # A turn not answered by then gets an apology phrase.
    turn_deadline_ms: Annotated[int, Field(ge=500)] = 6000


class PipelineSettings(Concern):
    """`tellerline pipeline`: the conversation of one lane's calls."""

    socket: SocketPath = Path("/run/tellerline/pipeline@cpu-0.sock")
    engine_socket: SocketPath = Path("/run/tellerline/engine@cpu.sock")
    # Other engines of this host, asked in this order while the lane's own is away.
    further_engine_sockets: tuple[SocketPath, ...] = ()
    # Calls that come while no engine is there: "refuse" leaves them to lanes of other hosts (the edge tries
    # the next), "keypad" answers with the menu of keys. Fixed phrases are in memory once they were rendered.
    without_engine: Literal["refuse", "keypad"] = "refuse"
    # The language a call starts in; `languages_by_number` overrules it by the number called.
    language: Literal["en", "tr"] = "en"
    languages_by_number: dict[str, Literal["en", "tr"]] = {}
    # Language → folder of `tellerline phrases render --language`, of the engine's present voice. What is not
    # there, or says other words, is rendered at every start: 20 s and more a language on two cores.
    phrases: dict[str, Path] = {}
    # None: no bank behind the voice; callers are answered, and nothing is looked up.
    banking: ServiceAddresses | None = None
    # None: nothing is kept of conversations, and a call that is taken over starts anew.
    session: ServiceAddresses | None = None
    # Facts on their way to the session service; survives any crash.
    spool: Path = Path("/var/lib/tellerline/pipeline@cpu-0/spool")
    turns: TurnSettings = TurnSettings()
    limits: CallLimits = CallLimits()
    providers: ProvidersSettings = ProvidersSettings()
    # SIP URI callers who ask for a person are sent to; None: a phrase says nobody is free.
    transfer_target: str | None = None
    # Tried in this order when the first does not take the call.
    further_targets: tuple[str, ...] = ()
    # Consenting callers are recorded (by the connector, where it has `recording`): the greeting says so.
    records: bool = False
    # Lets a local operator watch conversations, transcripts included.
    allow_watch: bool = False
    # How long SIGTERM waits for running calls; another SIGTERM ends them at once.
    drain_seconds: Annotated[float, Field(ge=0)] = 120.0
    monitoring: Monitoring = Monitoring()
