"""The robot as its users see it: renders a scenario, places the calls, hears and judges what came back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tellerline import stack_state
from tellerline.engine import manifest
from tellerline.engine.store import ModelStore
from tellerline.robot import conversation, dial, recording, voice
from tellerline.robot import scenario as scenarios
from tellerline.robot.hearing import Ear
from tellerline.robot.machine import Use, UseMeter
from tellerline.robot.media import Surroundings
from tellerline.robot.process import CallPlan, Event
from tellerline.robot.trace import CallTrace, Line
from tellerline.robot.watch import Watcher
from tellerline.rpc import conversation_pb2 as pb

# A disturbed run is repeated this often at most.
REPEATS = 2
_PIPER = "en-us-joe-medium"
_WHISPER = "whisper-tiny-en"
# The pipeline's last words about a call may come a moment after its BYE.
_LAST_WORDS_SECONDS = 2.0


@dataclass(frozen=True)
class Target:
    """What is dialled, and what may be known about it beside its SIP."""

    uri: str
    watch_sockets: tuple[Path, ...] = ()
    # Processes that are, with their children, the stack's: their CPU time is no disturbance.
    pids: tuple[int, ...] = ()


def processes(state: stack_state.State) -> tuple[int, ...]:
    """The supervisor and the daemons of a running stack."""
    found = [state.pid, state.engine_pid]
    for lane in state.lanes:
        found += [lane.connector_pid, lane.pipeline_pid]
    return tuple(pid for pid in found if pid is not None)


@dataclass(frozen=True)
class Listener:
    """Called as things happen."""

    event: Callable[[Event], None] = lambda event: None
    watched: Callable[[pb.ConversationEvent], None] = lambda event: None


@dataclass
class Run:
    """The finished calls of one run."""

    conversations: list[conversation.Conversation]
    use: Use
    watched: bool
    refusals: list[str] = field(default_factory=list)


class Caller:
    """Places scenario calls. Models are looked for when first needed: a WAV-only scenario needs none."""

    def __init__(self, model_store: Path, manifest_path: Path) -> None:
        self._store = ModelStore(model_store, manifest.load(manifest_path))
        self._speaker: voice.Speaker | None = None
        self._ear: Ear | None = None

    def line(self, text: str, how: voice.Voice) -> Line:
        """One rendered line. Raises ModelError when the voice is missing."""
        if self._speaker is None:
            needed = how.language == "en"
            folder = self._store.path(_PIPER) if needed else self._store.folder(_PIPER)
            self._speaker = voice.Speaker(folder / "voice.onnx")
        return self._speaker.line(text, how)

    def ear(self) -> Ear:
        """The recogniser of answers. Raises ModelError when its model is missing."""
        if self._ear is None:
            self._ear = Ear(self._store.path(_WHISPER))
        return self._ear

    def plan(self, scenario: scenarios.Scenario, uri: str, folder: Path, start_after_ms: int = 0) -> CallPlan:
        """The call of a scenario; WAV paths in it are relative to `folder`."""
        how = voice.Voice(scenario.voice.pitch, scenario.voice.tempo, scenario.language)
        lines: dict[int, Line] = {}
        for index, turn in enumerate(scenario.turns):
            if isinstance(turn.say, scenarios.Recording):
                lines[index] = voice.recorded(folder / turn.say.wav, turn.say.text)
            elif turn.say is not None or turn.interrupt is not None:
                text = turn.interrupt.say if turn.interrupt is not None else turn.say
                lines[index] = self.line(str(text), how)
        noise = None
        if scenario.noise is not None:
            wav = scenario.noise.wav
            samples = recording.read(folder / wav) if wav else None
            level = scenario.noise.level_db
            noise = voice.room_noise(level) if samples is None else voice.at_level(samples, level)
        return CallPlan(
            scenario.name,
            uri,
            scenarios.steps(scenario, lines),
            Surroundings(noise, scenario.echo),
            start_after_ms=start_after_ms,
            max_seconds=scenario.max_seconds,
        )

    async def run(
        self,
        calls: Sequence[tuple[scenarios.Scenario, CallPlan]],
        target: Target,
        listener: Listener | None = None,
        *,
        hear: bool = True,
        rtp_port: int = 0,
    ) -> Run:
        """Places all calls at once and waits for their ends; recognises the answers afterwards."""
        listener = listener or Listener()
        meter = UseMeter(target.pids)
        async with AsyncExitStack() as stack:
            watcher = None
            if target.watch_sockets:
                watcher = await stack.enter_async_context(Watcher(target.watch_sockets, listener.watched))
            meter.start()
            traces = await dial.place([plan for _, plan in calls], listener.event, rtp_port=rtp_port)
            # Four calls share a process, and each trace carries the whole process's time.
            use = meter.stop(sum(trace.process_cpu_seconds for trace in traces[:: dial.CALLS_A_PROCESS]))
            if watcher is not None:
                for trace in traces:
                    await watcher.ended(trace.sip_call_id, _LAST_WORDS_SECONDS)
        watched = watcher is not None and watcher.watching
        ear = self.ear() if hear else None
        return Run(
            [
                conversation.assemble(
                    trace,
                    scenario,
                    _events(watcher, trace) if watched else None,
                    ear.hear if ear else None,
                )
                for (scenario, _), trace in zip(calls, traces, strict=True)
            ],
            use,
            watched,
            watcher.refusals if watcher else [],
        )


def _events(watcher: Watcher | None, trace: CallTrace) -> list[pb.ConversationEvent]:
    return watcher.events[trace.sip_call_id] if watcher is not None else []
