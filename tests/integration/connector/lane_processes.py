"""A lane of real processes, a connector and an echo conversation that can be killed and started again."""

from __future__ import annotations

import audioop
import contextlib
import itertools
import signal
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from held import spooled
from sip_phone import LOOPBACK, Phone, wait_until

from tellerline import settings
from tellerline.rpc import control_pb2, control_pb2_grpc

_numbers = itertools.count()
# Constant samples that no other part of a test sends, as the caller hears them in μ-law.
_LEVELS = {"apology": 5000, "goodbye": 9000}


def as_heard(phrase: str) -> bytes:
    """One 20 ms RTP payload of a phrase."""
    return audioop.lin2ulaw(_LEVELS[phrase].to_bytes(2, "little") * 160, 2)


class LaneProcesses:
    """One connector and one echo pipeline."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        number = next(_numbers)
        self._transfer_target = changes.pop("transfer_target", None)
        self.folder = folder
        self.spool = folder / "spool"
        self._pipeline_socket = folder / "pipeline.sock"
        self._control_socket = folder / "control.sock"
        self._logs = contextlib.ExitStack()
        phrases = folder / "phrases"
        phrases.mkdir()
        for phrase, level in _LEVELS.items():
            with wave.open(str(phrases / f"{phrase}.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(level.to_bytes(2, "little") * 8000)
        sip = {
            "port": 5200 + number % 50,
            "rtp_port_first": 30000 + 40 * (number % 50),
            **changes.pop("sip", {}),
        }
        self.settings = settings.ConnectorSettings(
            pipeline_socket=self._pipeline_socket,
            control_socket=self._control_socket,
            spool=self.spool,
            phrases=phrases,
            sip=settings.SipSettings(**sip),
            **{"drain_seconds": 20, "reattach_seconds": 20, **changes},
        )
        self.config = folder / "connector.yml"
        self.config.write_text(settings.dump(self.settings))

    def start_pipeline(self) -> None:
        command = ["tellerline.pipeline.echo", "--socket", str(self._pipeline_socket)]
        if self._transfer_target is not None:
            command += ["--transfer-target", self._transfer_target]
        self.pipeline = self._start("pipeline", *command)

    def start_connector(self) -> None:
        self.connector = self._start("connector", "tellerline", "connector", "--config", str(self.config))

    def kill_pipeline(self) -> None:
        self.pipeline.kill()
        self.pipeline.wait()

    def wait_ready(self) -> None:
        wait_until(self._is_ready, 20, "the lane to be ready")

    def options(self) -> int:
        """The status an OPTIONS gets; 0 when nothing comes within half a second."""
        with self.phone() as phone:
            phone.send(phone.request("OPTIONS"))
            reply = phone.receive(lambda m: m.status >= 200, 0.5)
            return reply.status if reply else 0

    def phone(self, called: str = "echo") -> Phone:
        return Phone((LOOPBACK, self.settings.sip.port), called)

    def records(self) -> list[dict[str, Any]]:
        return spooled(self.spool)

    def wait_record(self, state: str) -> dict[str, Any]:
        """The one record, once it is in `state`."""
        wait_until(lambda: [r["state"] for r in self.records()] == [state], 5, f"one {state} record")
        return self.records()[0]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def close(self) -> None:
        for process in (self.connector, self.pipeline):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self._logs.close()

    def _start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        log = self._logs.enter_context((self.folder / f"{name}.log").open("ab"))
        return subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=subprocess.STDOUT)

    def _is_ready(self) -> bool:
        assert self.connector.poll() is None, self.log("connector")
        with grpc.insecure_channel(f"unix:{self._control_socket}") as channel:
            try:
                status = control_pb2_grpc.ControlStub(channel).Status(control_pb2.StatusRequest(), timeout=1)
            except grpc.RpcError:
                return False
        return bool(status.state == "ready")


LaneMaker = Callable[..., LaneProcesses]
