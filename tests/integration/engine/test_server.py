"""The engine as a daemon: slots over gRPC, health, and its refusal to serve a bad model."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tellerline.engine.store import ModelStore
from tellerline.rpc import engine_pb2 as pb
from tellerline.settings import EngineSettings

from .conftest import Caller, engine_process

_EXIT_SECONDS = 60


async def test_health_is_serving(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for service in (
        "",
        "tellerline.v1.Recognition",
        "tellerline.v1.LanguageModel",
        "tellerline.v1.Synthesis",
    ):
        reply = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_slots_are_taken_and_given_back(caller: Caller) -> None:
    taken = await caller.slots.Reserve(pb.ReserveRequest(call_id=caller.call_id))
    assert taken.reserved
    await caller.slots.Release(pb.ReleaseRequest(call_id=caller.call_id))
    again = await caller.slots.Reserve(pb.ReserveRequest(call_id=caller.call_id))
    assert again.free_slots == taken.free_slots


async def test_the_ninth_call_is_refused(caller: Caller) -> None:
    names = [f"{caller.call_id} {i}" for i in range(9)]
    replies = [await caller.slots.Reserve(pb.ReserveRequest(call_id=name)) for name in names]
    for name in names:
        await caller.slots.Release(pb.ReleaseRequest(call_id=name))
    assert [reply.reserved for reply in replies] == [True] * 8 + [False]
    assert (replies[-1].reason, replies[-1].free_slots) == ("full", 0)


def test_no_thread_spins_when_nobody_speaks(running_engine: subprocess.Popen[bytes]) -> None:
    process = psutil.Process(running_engine.pid)
    assert process.cpu_percent(interval=2.0) < 10.0


@pytest.fixture
def damaged(store: ModelStore) -> Iterator[ModelStore]:
    """A copy of the store by links, with one byte of the voice changed."""
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        copy = ModelStore(Path(folder) / "models", store.manifest)
        for name in store.names():
            shutil.copytree(store.folder(name), copy.folder(name), copy_function=_link)
        voice = copy.folder("en-us-joe-medium") / "voice.onnx"
        content = bytearray(voice.read_bytes())
        content[len(content) // 2] ^= 1
        voice.unlink()
        voice.write_bytes(content)
        yield copy


def _link(source: str, target: str) -> None:
    Path(target).symlink_to(source)


def test_a_damaged_model_is_refused_before_anything_is_served(damaged: ModelStore, store: ModelStore) -> None:
    socket = damaged.root.parent / "engine.sock"
    manifest = Path(__file__).resolve().parents[3] / "models" / "starter.yml"
    settings = EngineSettings(socket=socket, model_store=damaged.root, manifest=manifest)
    log = socket.with_suffix(".log")
    with engine_process(settings, log) as process:
        assert process.wait(_EXIT_SECONDS) == 2
    assert not socket.exists()
    assert "voice.onnx: has sha256" in log.read_text()
    assert "tellerline models take en-us-joe-medium" in log.read_text()


def test_a_model_that_answers_wrongly_is_refused(store: ModelStore) -> None:
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        starter = Path(__file__).resolve().parents[3] / "models" / "starter.yml"
        manifest = Path(folder) / "models.yml"
        manifest.write_text(starter.read_text().replace("answer: Paris", "answer: Ankara"))
        text = starter.read_text().replace('answer: "Paris"', 'answer: "Ankara"')
        assert text != starter.read_text()
        manifest.write_text(text)
        socket = Path(folder) / "engine.sock"
        log = socket.with_suffix(".log")
        settings = EngineSettings(socket=socket, model_store=store.root, manifest=manifest)
        with engine_process(settings, log) as process:
            assert process.wait(_EXIT_SECONDS) == 2
        assert "should contain 'Ankara'" in log.read_text()
        assert not socket.exists()
