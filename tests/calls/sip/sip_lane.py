"""A lane under test: a real connector process, and the echo conversation served by this process.

The echo is the product's own; serving it here lets a test see what came up the stream (digits, hold, transfer
progress) and hold back an admission.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from held import spooled
from sip_phone import LOOPBACK, Phone, wait_until

from tellerline import bootstrap, settings
from tellerline.pipeline.echo import EchoConversation
from tellerline.rpc import control_pb2, control_pb2_grpc
from tellerline.rpc import conversation_pb2 as pb
from tellerline.rpc import conversation_pb2_grpc as rpc

SIP_PORTS = range(5250, 5275)
TRANSFER_TARGET = "sip:person@127.0.0.1:5299"
_RTP_FIRST, _RTP_STEP = 32000, 40


class ObservedEcho(EchoConversation):
    """The echo conversation, keeping every message but audio and heartbeats for the test."""

    def __init__(self, transfer_target: str | None) -> None:
        super().__init__(transfer_target)
        self.heard: list[pb.FromConnector] = []
        self.audio_messages = 0
        self.admitting = asyncio.Event()
        self.admitting.set()

    async def Admit(self, request: pb.AdmitRequest, context: grpc.aio.ServicerContext) -> pb.AdmitReply:
        await self.admitting.wait()
        return await super().Admit(request, context)

    async def Converse(
        self, requests: AsyncIterator[pb.FromConnector], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ToConnector]:
        async def observed() -> AsyncIterator[pb.FromConnector]:
            async for message in requests:
                kind = message.WhichOneof("event")
                if kind == "audio":
                    self.audio_messages += 1
                elif kind != "heartbeat":
                    self.heard.append(message)
                yield message

        async for command in super().Converse(observed(), context):
            yield command


class EchoServer:
    """The observed echo on a unix socket, on an event loop of its own thread."""

    def __init__(self, path: Path, transfer_target: str | None = None) -> None:
        self._path = path
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop: asyncio.Event
        self.echo: ObservedEcho
        self._target = transfer_target
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._started.wait(10), "the echo conversation did not start"

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self.echo = ObservedEcho(self._target)
        server, servicer = bootstrap.server(self._path)
        rpc.add_ConversationServicer_to_server(self.echo, server)  # type: ignore[no-untyped-call]
        await server.start()
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        self._started.set()
        await self._stop.wait()
        await server.stop(grace=None)
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
            self._loop.close()

    @contextlib.contextmanager
    def admission_held(self) -> Iterator[None]:
        """While inside, the pipeline does not answer whether it takes a call."""
        self._loop.call_soon_threadsafe(self.echo.admitting.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self.echo.admitting.set)


class Lane:
    """A connector process and its echo conversation. Close it."""

    def __init__(self, folder: Path, transfer_target: str | None = None, **sip: Any) -> None:
        self.folder = folder
        self._closed = False
        self._reserved = ReservedPort(sip.pop("port", None))
        self.port = self._reserved.number
        self.rtp_first = sip.setdefault("rtp_port_first", self._reserved.rtp_first)
        self.rtp_count = _RTP_STEP
        self.spool = folder / "spool"
        self.control_socket = folder / "control.sock"
        self.pipeline_socket = folder / "pipeline.sock"
        self._transfer_target = transfer_target
        self.server = EchoServer(self.pipeline_socket, transfer_target)
        self.settings = settings.ConnectorSettings(
            pipeline_socket=self.pipeline_socket,
            control_socket=self.control_socket,
            spool=self.spool,
            phrases=_phrases(folder / "phrases"),
            lane="conformance",
            sip=settings.SipSettings(
                **{"port": self.port, "rtp_port_count": self.rtp_count, "rtp_silence_seconds": 30, **sip}
            ),
            drain_seconds=20,
            reattach_seconds=3,
            transfer_targets=() if transfer_target is None else (transfer_target,),
        )
        config = folder / "connector.yml"
        config.write_text(settings.dump(self.settings))
        self._log = (folder / "connector.log").open("wb")
        command = [sys.executable, "-m", "tellerline", "connector", "--config", str(config)]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        try:
            wait_until(self._is_ready, 20, "the connector to be ready")
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> tuple[str, int]:
        return LOOPBACK, self.port

    @property
    def heard(self) -> list[pb.FromConnector]:
        """Everything the pipeline was told, audio and heartbeats left out."""
        return self.server.echo.heard

    def of_call(self, sip_call_id: str, kind: str) -> list[Any]:
        """The events of one kind the pipeline was told about one call."""
        ids = {
            m.call_id
            for m in self.heard
            if m.WhichOneof("event") == "attach" and m.attach.sip_call_id == sip_call_id
        }
        return [getattr(m, kind) for m in self.heard if m.call_id in ids and m.WhichOneof("event") == kind]

    def wait_event(self, sip_call_id: str, kind: str, count: int = 1, seconds: float = 5.0) -> list[Any]:
        wait_until(lambda: len(self.of_call(sip_call_id, kind)) >= count, seconds, f"{count} × {kind}")
        return self.of_call(sip_call_id, kind)

    def phone(self, called: str = "echo") -> Phone:
        return Phone(self.address, called)

    def options(self) -> int:
        """The status an OPTIONS gets; 0 when nothing comes within half a second."""
        with self.phone() as phone:
            request = phone.request("OPTIONS")
            phone.send(request)
            reply = phone.receive(lambda m: m.status >= 200, 0.5)
            return reply.status if reply else 0

    def status(self) -> control_pb2.StatusReply:
        with grpc.insecure_channel(f"unix:{self.control_socket}") as channel:
            return control_pb2_grpc.ControlStub(channel).Status(control_pb2.StatusRequest(), timeout=5)

    def drain(self) -> None:
        with grpc.insecure_channel(f"unix:{self.control_socket}") as channel:
            control_pb2_grpc.ControlStub(channel).Drain(control_pb2.DrainRequest(), timeout=5)

    def undrain(self) -> None:
        with grpc.insecure_channel(f"unix:{self.control_socket}") as channel:
            control_pb2_grpc.ControlStub(channel).Undrain(control_pb2.UndrainRequest(), timeout=5)

    def wait_idle(self) -> None:
        """Waits until no call is left, so that the next test has every slot."""
        wait_until(lambda: not self.status().calls, 10, "the lane to be idle")

    def stop_pipeline(self) -> None:
        self.server.close()

    def start_pipeline(self) -> None:
        self.server = EchoServer(self.pipeline_socket, self._transfer_target)

    def log(self) -> str:
        """What the connector has logged so far."""
        return (self.folder / "connector.log").read_text(errors="replace")

    def records(self) -> list[dict[str, Any]]:
        """The call records of the spool, whatever their state."""
        return spooled(self.spool)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Ends the connector and its pipeline. Closing twice is closing once."""
        if self._closed:
            return
        self._closed = True
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.server.close()
        self._log.close()
        # Shown with a test that failed.
        print(self.log())
        self._reserved.close()

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, (
            f"the connector ended with {self.process.returncode}:\n{self.log()[-3000:]}"
        )
        return self.control_socket.exists() and self.status().state == "ready" and self.options() == 200


class ReservedPort:
    """A SIP port for one lane, and a range of RTP ports that goes with it, until closed.

    A lock file keeps two test runs on one machine apart: a port that is free now is not free for long.
    """

    def __init__(self, wanted: int | None = None) -> None:
        for self.number in [wanted] if wanted else SIP_PORTS:
            path = Path(tempfile.gettempdir(), f"tellerline-sip-port-{self.number}.lock")
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind((LOOPBACK, self.number))
                return
            os.close(self._lock)
        raise AssertionError(f"no free SIP port in {SIP_PORTS}")

    @property
    def rtp_first(self) -> int:
        return _RTP_FIRST + (self.number - SIP_PORTS.start) * _RTP_STEP

    def close(self) -> None:
        os.close(self._lock)


def _phrases(folder: Path) -> Path:
    """Half a second of a tone under the names of the phrases the connector plays by itself."""
    folder.mkdir(exist_ok=True)
    for name in ("apology", "goodbye"):
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes((b"\x00\x20" * 8 + b"\x00\xe0" * 8) * 250)
    return folder
