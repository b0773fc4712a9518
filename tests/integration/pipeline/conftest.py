"""A pipeline daemon on the session's engine, and a caller's voice."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import soxr
from grpc_health.v1 import health_pb2, health_pb2_grpc
from piper import PiperVoice, SynthesisConfig

from tellerline import settings
from tellerline.engine.store import ModelStore

Say = Callable[[str], bytes]

PERSON = "sip:person@127.0.0.1:5399"

# All phrases are rendered first: half a minute where nothing else runs, twice that where much does.
_READY_SECONDS = 180


def _serving(socket: Path) -> bool:
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


@dataclass(frozen=True)
class Daemon:
    """A running pipeline."""

    socket: Path
    log: Path


@contextlib.contextmanager
def running(home: Path, engine_socket: Path, **chosen: Any) -> Iterator[Daemon]:
    """A pipeline daemon that may be watched and logs all it can."""
    daemon = Daemon(home / "p.sock", home / "pipeline.log")
    config = home / "pipeline.yml"
    config.write_text(
        settings.dump(
            settings.PipelineSettings(
                socket=daemon.socket,
                engine_socket=engine_socket,
                allow_watch=True,
                drain_seconds=0,
                monitoring=settings.Monitoring(log_level="debug"),
                **chosen,
            )
        )
    )
    with daemon.log.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tellerline", "pipeline", "--config", str(config)], stderr=log
        )
        try:
            deadline = time.monotonic() + _READY_SECONDS
            while not _serving(daemon.socket):
                assert process.poll() is None and time.monotonic() < deadline, daemon.log.read_text()
                time.sleep(0.2)
            yield daemon
        finally:
            process.terminate()
            process.wait(10)


# Short patience for silent callers.
_IMPATIENT = settings.CallLimits(silence_prompt_seconds=2.0, silence_prompts=1)


@pytest.fixture(scope="session")
def pipeline_daemon(engine_socket: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A pipeline with nobody to transfer callers to."""
    with running(tmp_path_factory.mktemp("pipeline"), engine_socket, limits=_IMPATIENT) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def pipeline_socket(pipeline_daemon: Daemon) -> Path:
    """Its socket."""
    return pipeline_daemon.socket


@pytest.fixture(scope="module")
def staffed_socket(engine_socket: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a pipeline that may transfer callers to a person."""
    home = tmp_path_factory.mktemp("staffed")
    with running(home, engine_socket, limits=_IMPATIENT, transfer_target=PERSON) as daemon:
        yield daemon.socket


@pytest.fixture(scope="module")
def hasty_socket(engine_socket: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a pipeline whose calls may last three seconds."""
    limits = settings.CallLimits(max_call_seconds=3.0)
    with running(tmp_path_factory.mktemp("hasty"), engine_socket, limits=limits) as daemon:
        yield daemon.socket


@pytest.fixture(scope="session")
def say(model_store: ModelStore) -> Say:
    """Speech of a caller: the engine's voice at a higher pitch, S16LE at 8 kHz, silence cut off.

    Without Piper's noise, so that one text sounds the same in every run, and is heard the same.
    """
    voice = PiperVoice.load(model_store.path("en-us-joe-medium") / "voice.onnx")
    made: dict[str, bytes] = {}

    def speak(text: str) -> bytes:
        if text not in made:
            plain = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
            samples = np.concatenate([one.audio_float_array for one in voice.synthesize(text, plain)])
            higher = soxr.resample(samples, voice.config.sample_rate * 1.1, 8000)
            loud = np.flatnonzero(np.abs(higher) > 0.01 * np.abs(higher).max())
            cut = higher[loud[0] : loud[-1] + 1]
            made[text] = (np.clip(cut / np.abs(cut).max() * 0.6, -1, 1) * 32767).astype("<i2").tobytes()
        return made[text]

    return speak
