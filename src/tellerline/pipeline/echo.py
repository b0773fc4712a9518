"""A stand-in conversation that echoes the caller, for SIP conformance tests and the media benchmark.

It admits every call and plays the caller's audio back. The number called makes it do something else:

    echo      (and any number not listed) plays the caller back
    silent    sends no audio at all
    hangup    HangUp after one second
    goodbye   one second of tone, then HangUp(after_playout)
    transfer  Transfer to `transfer_target` after one second, hang-up when the transfer succeeded
    pin       asks for four digits of dark input after one second
"""

from __future__ import annotations

import array
import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import grpc
from grpc_health.v1 import health_pb2

from tellerline import bootstrap
from tellerline.monitoring import notify
from tellerline.rpc import conversation_pb2 as pb
from tellerline.rpc import conversation_pb2_grpc as rpc
from tellerline.settings import Monitoring, PipelineSettings

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 0.5
SCRIPT_DELAY_SECONDS = 1.0
RATE_HZ = 8000


def _tone(seconds: float, tone_hz: float = 440.0) -> bytes:
    step = 2 * math.pi * tone_hz / RATE_HZ
    return array.array("h", (int(8000 * math.sin(step * n)) for n in range(int(seconds * RATE_HZ)))).tobytes()


class _Call:
    """One attached call: what comes up, and the queue of what goes down."""

    def __init__(self, transfer_target: str | None) -> None:
        self.down: asyncio.Queue[pb.ToConnector | None] = asyncio.Queue()
        self.transfer_target = transfer_target
        self.echoes = True
        self.digits = 0
        self.call_id = ""

    def send(self, **command: Any) -> None:
        self.down.put_nowait(pb.ToConnector(call_id=self.call_id, **command))

    async def heartbeat(self) -> None:
        while True:
            self.send(heartbeat=pb.Heartbeat(sent_ns=time.monotonic_ns()))
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def script(self, called: str) -> None:
        """Does what the called number asks for."""
        await asyncio.sleep(SCRIPT_DELAY_SECONDS)
        if called == "hangup":
            self.send(hang_up=pb.HangUp(reason="goodbye"))
        elif called == "goodbye":
            self.send(audio=pb.BotAudio(pcm=_tone(1.0), kind=pb.BotAudio.SPEECH))
            self.send(hang_up=pb.HangUp(reason="goodbye", after_playout=True))
        elif called == "transfer" and self.transfer_target:
            self.send(transfer=pb.Transfer(request_id=1, target=self.transfer_target))
        elif called == "pin":
            request = pb.DarkInputRequest(
                request_id=1, purpose="pin", min_digits=4, max_digits=4, timeout_ms=5000
            )
            self.send(dark_input=request)

    def attach(self, message: pb.FromConnector) -> None:
        self.call_id = message.call_id
        called = message.attach.called
        self.echoes = called not in ("silent", "hangup", "goodbye")
        self.send(attached=pb.Attached())
        log.info("call %s attached, resume=%s", self.call_id, message.attach.resume)

    def receive(self, message: pb.FromConnector) -> None:
        event = message.WhichOneof("event")
        if event == "audio" and self.echoes:
            self.send(audio=pb.BotAudio(pcm=message.audio.pcm, kind=pb.BotAudio.SPEECH))
        elif event == "digit":
            self.digits += 1
        elif event == "transfer_progress":
            progress = message.transfer_progress
            log.info("call %s transfer: %d final=%s", self.call_id, progress.sip_status, progress.final)
            if progress.final and progress.sip_status // 100 == 2:
                self.send(hang_up=pb.HangUp(reason="transferred"))
        elif event == "dark_input_result":
            log.info("call %s dark input: outcome %d", self.call_id, message.dark_input_result.outcome)
        elif event in ("hold", "caller_hung_up"):
            log.info("call %s %s", self.call_id, event)


class EchoConversation(rpc.ConversationServicer):
    """Conversation service without a conversation."""

    def __init__(self, transfer_target: str | None = None) -> None:
        self._transfer_target = transfer_target

    async def Admit(self, request: pb.AdmitRequest, context: grpc.aio.ServicerContext) -> pb.AdmitReply:
        return pb.AdmitReply(admitted=True, free_slots=64)

    async def Converse(
        self, requests: AsyncIterator[pb.FromConnector], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ToConnector]:
        call = _Call(self._transfer_target)

        async def read() -> None:
            tasks = []
            try:
                async for message in requests:
                    if message.WhichOneof("event") == "attach":
                        call.attach(message)
                        tasks += [
                            asyncio.create_task(call.heartbeat()),
                            asyncio.create_task(call.script(message.attach.called)),
                        ]
                    else:
                        call.receive(message)
            finally:
                for task in tasks:
                    task.cancel()
                log.info("call %s ended, %d digits heard", call.call_id, call.digits)
                call.down.put_nowait(None)

        reader = asyncio.create_task(read())
        try:
            while (message := await call.down.get()) is not None:
                yield message
        finally:
            reader.cancel()


async def serve_echo(settings: PipelineSettings) -> None:
    """Serves `settings.socket` until a signal arrives."""
    server, healthiness = bootstrap.server(settings.socket)
    servicer = EchoConversation(settings.transfer_target)
    rpc.add_ConversationServicer_to_server(servicer, server)
    await server.start()
    await healthiness.set("", health_pb2.HealthCheckResponse.SERVING)
    notify.notify("READY=1")
    log.info("echoing on %s", settings.socket)
    await bootstrap.until_signal()
    notify.notify("STOPPING=1")
    await server.stop(grace=0.2)


@click.command()
@click.option("--socket", type=click.Path(path_type=Path), required=True, help="Unix socket to serve.")
@click.option("--transfer-target", help="SIP URI the called number 'transfer' is sent to.")
def main(socket: Path, transfer_target: str | None) -> None:
    """Echo callers instead of talking to them."""
    settings = PipelineSettings(
        socket=socket, transfer_target=transfer_target, monitoring=Monitoring(log_level="info")
    )
    bootstrap.run("echo", settings.monitoring, lambda: serve_echo(settings))


if __name__ == "__main__":
    main()
