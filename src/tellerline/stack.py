"""The embedded stack: one CPU engine and N lanes as processes of this machine, without systemd.

What Ansible and systemd do on an appliance this module does in a folder: it writes every daemon's
settings file, starts the daemons in order, waits until they are healthy, restarts what dies, and
keeps a state file that says where everything is.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import pydantic

from tellerline import prerendered, settings
from tellerline.back_office import BackOffice
from tellerline.engine import manifest
from tellerline.engine.store import ModelStore
from tellerline.errors import StackError
from tellerline.monitoring import health
from tellerline.ports import free_sip_port
from tellerline.stack_daemons import Daemons
from tellerline.stack_state import HOME, Lane, State, is_running, life, state_file
from tellerline.supervisor import Supervisor

_STARTER = Path("models", "starter.yml")


def starter_manifest(checkout: Path, venv: Path) -> Path:
    """The manifest of the starter models: the checkout's, or a release's, which lies beside its venv."""
    beside = venv.parent / _STARTER
    return beside if not (checkout / _STARTER).exists() and beside.exists() else checkout / _STARTER


_ROOT = Path(__file__).resolve().parents[2]
MANIFEST = starter_manifest(_ROOT, Path(sys.prefix))
# User part of the URI dialled → the language it is answered in, where there is a bank.
NUMBERS: Mapping[str, Literal["en", "tr"]] = {"turkce": "tr"}
# Hears what whisper-tiny-en does not, where it is in the store.
_MULTILINGUAL = "whisper-base"
_Settings = TypeVar("_Settings", bound=settings.Concern)


class Stack:
    """A stack that runs while its context is open.

    `lanes` may be 0 for an engine alone. `echo` runs the echo pipeline and no engine. `bank` puts session,
    banking and a sandbox bank behind the voice, `bank_delay_ms` slow, `instances` of each daemon, and has
    `NUMBERS` answered. `engine`, `pipeline` and `connector` override settings (nested mappings, as in the
    YAML files); ports are the first free ones from the connector's on, and a pipeline given an
    `engine_socket` uses that engine.
    """

    def __init__(
        self,
        lanes: int = 1,
        *,
        echo: bool = False,
        bank: bool = False,
        bank_delay_ms: int = 0,
        instances: int = 1,
        home: Path = HOME,
        model_store: Path | None = None,
        log_folder: Path | None = None,
        engine: Mapping[str, Any] | None = None,
        pipeline: Mapping[str, Any] | None = None,
        connector: Mapping[str, Any] | None = None,
        progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._lane_count = lanes
        self._echo = echo
        self._home = home
        self._model_store = model_store or home / "models"
        self._log_folder = log_folder or home / "log"
        self._engine_overrides = engine or {}
        self._pipeline_overrides = pipeline or {}
        self._connector_overrides = connector or {}
        self._progress = progress
        self.daemons = Daemons(self._log_folder, progress, self._on_event)
        self.back_office = (
            BackOffice(self.daemons, home, instances=instances, bank_delay_ms=bank_delay_ms) if bank else None
        )
        # Without a bank the language model answers, and the starter's speaks English only.
        self._numbers = dict(NUMBERS) if bank else {}
        # Language → folder of its rendered phrases, and the one callers are greeted in by default.
        self._spoken: dict[str, Path] = {}
        self._phrases = Path()
        self._engine_socket: Path | None = None
        self._lanes: list[Lane] = []

    def __enter__(self) -> Stack:
        if is_running(self._home):
            raise StackError(
                f"a stack runs out of {self._home} already; stop it first, or give another --home"
            )
        make_private(self._log_folder, self._home)
        state_file(self._home).parent.mkdir(parents=True, exist_ok=True)
        self.daemons.open()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def phrases(self) -> Path:
        """The folder of the connector's phrases, `<key>.wav`."""
        return self._phrases

    @property
    def numbers(self) -> Mapping[str, str]:
        """User part of the URI dialled → language, for all that is not answered in the default one."""
        return self._conversation().languages_by_number

    @property
    def supervisor(self) -> Supervisor:
        """The daemons' supervisor. Units are named engine@cpu, pipeline@cpu-0, connector@cpu-0."""
        return self.daemons.supervisor

    @property
    def state(self) -> State:
        """What runs where, with the process ids of this moment."""
        lanes = (
            dataclasses.replace(
                lane,
                connector_pid=self.daemons.pid(f"connector@{lane.name}"),
                pipeline_pid=self.daemons.pid(f"pipeline@{lane.name}"),
            )
            for lane in self._lanes
        )
        pid = os.getpid()
        return State(
            pid,
            life(pid) or "",
            self._engine_socket,
            self.daemons.pid("engine@cpu"),
            tuple(lanes),
            self._log_folder,
        )

    @property
    def home(self) -> Path:
        """The folder of logs, spools, phrases and the state file."""
        return self._home

    def stop(self) -> None:
        """Stops the daemons, callers' side first, and removes sockets and state file."""
        if not self.daemons.is_open:
            return
        lanes = range(self._lane_count)
        self._progress("stopping")
        self.supervisor.stop(*(f"connector@cpu-{lane}" for lane in lanes))
        self.supervisor.stop(*(f"pipeline@cpu-{lane}" for lane in lanes))
        self.daemons.close()
        if self.back_office is not None:
            self.back_office.stop()
        state_file(self._home).unlink(missing_ok=True)
        self.daemons.remove_folder()

    def wait_until_ready(self) -> None:
        """Waits until every lane takes calls. Raises StackError when one does not in two minutes."""
        for lane in self._lanes:
            self.daemons.wait(f"pipeline@{lane.name}", health.serving, lane.pipeline_socket)
            self.daemons.wait(f"connector@{lane.name}", health.takes_calls, lane.control_socket)

    # ---- starting

    def _start(self) -> None:
        given = self._pipeline_overrides.get("engine_socket")
        own_engine = not self._echo and given is None
        if own_engine:
            self._start_engine()
        elif given is not None:
            self._engine_socket = Path(given)
        if self.back_office is not None:
            self.back_office.start()
        self._render_phrases()
        for index in range(self._lane_count):
            self._start_pipeline(f"cpu-{index}")
        for index in range(self._lane_count):
            self._start_connector(index)
        if self.back_office is not None:
            self.back_office.wait_until_ready()
        if own_engine:
            self._wait_for_engine()
        self.wait_until_ready()
        self.daemons.all_were_up = True
        self._write_state()

    def _start_engine(self) -> None:
        self._engine_socket = self.daemons.socket("engine", "cpu")
        base = settings.EngineSettings(
            socket=self._engine_socket,
            model_store=self._model_store.resolve(),
            manifest=MANIFEST,
            recognition=settings.RecognitionSettings(by_language=self._heard_by()),
        )
        self.daemons.run_daemon("engine", "cpu", overridden(base, self._engine_overrides))

    def _heard_by(self) -> dict[str, str]:
        foreign = set(self._numbers.values()) - {"en"}
        if not foreign:
            return {}
        store = ModelStore(self._model_store, manifest.load(MANIFEST))
        if store.faults(_MULTILINGUAL):
            listed = ", ".join(sorted(foreign))
            self._progress(f"{listed}: keypad only; `tellerline models take {_MULTILINGUAL}` to be heard")
            return {}
        return dict.fromkeys(foreign, _MULTILINGUAL)

    def _wait_for_engine(self) -> None:
        self.daemons.wait("engine@cpu", health.serving, self.daemons.socket("engine", "cpu"))

    def _start_pipeline(self, lane: str) -> None:
        sock = self.daemons.socket("pipeline", lane)
        if self._echo:
            target = self._pipeline_overrides.get("transfer_target")
            options = ("--transfer-target", str(target)) if target else ()
            command = ("tellerline.pipeline.echo", "--socket", str(sock), *options)
            self.daemons.run_unit(f"pipeline@{lane}", command)
            return
        assert self._engine_socket is not None
        base = settings.PipelineSettings(
            socket=sock,
            engine_socket=self._engine_socket,
            allow_watch=True,
            # Its connector is stopped first: who is left then is nobody.
            drain_seconds=0,
            spool=self._home / "spool" / f"pipeline@{lane}",
            languages_by_number=self._numbers,
            phrases=self._spoken,
            **self._behind_pipelines(),
        )
        self.daemons.run_daemon("pipeline", lane, overridden(base, self._pipeline_overrides))

    def _start_connector(self, index: int) -> None:
        lane = f"cpu-{index}"
        base = settings.ConnectorSettings(
            pipeline_socket=self.daemons.socket("pipeline", lane),
            control_socket=self.daemons.socket("connector", lane),
            spool=self._home / "spool" / lane,
            phrases=self._phrases,
            phrases_by_number=self._phrases_by_number(),
            lane=lane,
            **self._behind_connectors(),
            # Long enough for a goodbye; whoever stops a stack of their own waits for no caller.
            drain_seconds=2.0,
        )
        wanted = overridden(base, self._connector_overrides)
        sip = wanted.sip
        port = free_sip_port(sip.bind_host, sip.port + index, taken=self._ports())
        first = sip.rtp_port_first + index * sip.rtp_port_count
        chosen = wanted.model_copy(
            update={"sip": sip.model_copy(update={"port": port, "rtp_port_first": first})}
        )
        make_private(chosen.spool.parent, self._home)
        make_private(chosen.spool, self._home)
        uri = f"sip:tellerline@{sip.public_host or sip.bind_host}:{port}"
        self._lanes.append(Lane(lane, uri, base.pipeline_socket, base.control_socket, chosen.spool))
        self.daemons.run_daemon("connector", lane, chosen, stop_seconds=chosen.drain_seconds + 10)

    def _behind_pipelines(self) -> dict[str, Any]:
        office = self.back_office
        if office is None:
            return {}
        return {
            "banking": office.banking,
            "session": office.session,
            "transfer_target": office.colleague_uri,
            # As `recording` of the connectors below: callers are told.
            "records": True,
        }

    def _behind_connectors(self) -> dict[str, Any]:
        office = self.back_office
        if office is None:
            return {}
        recording = settings.RecordingSettings(folder=self._home / "recordings", site_key=office.site_key)
        return {
            "banking": office.banking_secrets,
            "session": office.session,
            "recording": recording,
            "transfer_targets": (office.colleague_uri,),
        }

    def _ports(self) -> set[int]:
        return {int(lane.sip_uri.rpartition(":")[2]) for lane in self._lanes}

    def _conversation(self) -> settings.PipelineSettings:
        """What the pipelines are told of languages and numbers."""
        return overridden(
            settings.PipelineSettings(languages_by_number=self._numbers), self._pipeline_overrides
        )

    def _render_phrases(self) -> None:
        if self._echo or self._lane_count == 0:
            self._phrases = prerendered.tones(self._home / "phrases" / "tones")
            return
        synthesis = overridden(settings.EngineSettings(), self._engine_overrides).synthesis
        wanted = self._conversation()
        for code in sorted({wanted.language, *wanted.languages_by_number.values()}):
            voice = f"espeak-ng {synthesis.espeak[code]}" if code in synthesis.espeak else synthesis.voice
            self._spoken[code] = prerendered.folder(self._home / "phrases", voice, code)
            if not self._spoken[code].is_dir():
                self._render(code)
        self._phrases = self._spoken[wanted.language]

    def _render(self, code: str) -> None:
        # With phrases at hand every daemon starts at once; without, the engine has to be there first.
        if self.daemons.pid("engine@cpu") is not None:
            self._wait_for_engine()
        self._progress(f"rendering the fixed phrases ({code}), the first time only")
        assert self._engine_socket is not None
        prerendered.render(self._spoken[code], self._engine_socket, code)

    def _phrases_by_number(self) -> dict[str, Path]:
        numbers = {} if self._echo else self._conversation().languages_by_number
        return {number: self._spoken[code] for number, code in numbers.items()}

    def _on_event(self, unit: str, what: str) -> None:
        self._progress(f"{unit} {what}")
        if state_file(self._home).exists():
            self._write_state()

    def _write_state(self) -> None:
        path = state_file(self._home)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(pydantic.TypeAdapter(State).dump_json(self.state, indent=2))
        fresh.replace(path)


def make_private(folder: Path, home: Path) -> None:
    """Makes `folder`, readable by this user alone: records and logs tell who called.

    One outside of `home` that exists already is somebody else's, and keeps its mode.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.resolve().is_relative_to(home.resolve()):
        folder.chmod(0o700)


def overridden(base: _Settings, overrides: Mapping[str, Any]) -> _Settings:
    """`base` with what `overrides` names changed, checked like a settings file."""
    return type(base).model_validate(_merged(base.model_dump(), overrides))


def _merged(base: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overrides.items():
        merged[key] = _merged(merged[key], value) if isinstance(value, Mapping) else value
    return merged
