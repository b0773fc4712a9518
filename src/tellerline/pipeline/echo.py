"""A stand-in conversation that echoes the caller, for SIP conformance tests and the media benchmark.

It admits every call and plays the caller's audio back. The number called makes it do something else:

    echo      (and any number not listed) plays the caller back
    silent    sends no audio at all
    hangup    HangUp after one second
    goodbye   one second of tone, then HangUp(after_playout)
    transfer  Transfer to `transfer_target` after one second, hang-up when the transfer succeeded
    pin       asks for four digits of dark input after one second, and for a menu once they are checked
    secret    asks for twelve digits of dark input at once, and again whenever they were checked; is recorded
    record    has the call recorded; its first digit stops the recording, its second resumes it

Keys go up in all of them but the two that ask for dark input: a menu is declared right after `Attached`.
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
# What a transfer carries in User-to-User.
REFERENCE = "echo-1"


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
        # request_id of the last dark input.
        self.asked = 0
        self.call_id = self.called = ""

    def send(self, **command: Any) -> None:
        self.down.put_nowait(pb.ToConnector(call_id=self.call_id, **command))

    async def heartbeat(self) -> None:
        while True:
            self.send(heartbeat=pb.Heartbeat(sent_ns=time.monotonic_ns()))
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def script(self, attach: pb.Attach) -> None:
        """Does what the called number asks for."""
        await asyncio.sleep(SCRIPT_DELAY_SECONDS)
        called = attach.called
        if attach.dark_request_id:
            return
        if called == "hangup":
            self.send(hang_up=pb.HangUp(reason="goodbye"))
        elif called == "goodbye":
            self.send(audio=pb.BotAudio(pcm=_tone(1.0), kind=pb.BotAudio.SPEECH))
            self.send(hang_up=pb.HangUp(reason="goodbye", after_playout=True))
        elif called == "transfer" and self.transfer_target:
            transfer = pb.Transfer(request_id=1, target=self.transfer_target, user_to_user=REFERENCE)
            self.send(transfer=transfer)
        elif called == "pin":
            self.ask(4)

    def ask(self, digits: int) -> None:
        """Asks for a secret; what is heard meanwhile is silence, and echoing it would count as a prompt."""
        self.asked += 1
        self.echoes = False
        request = pb.DarkInputRequest(
            request_id=self.asked, purpose="pin", min_digits=digits, max_digits=digits, timeout_ms=5000
        )
        self.send(dark_input=request)

    def attach(self, message: pb.FromConnector) -> None:
        """Takes the call; declares what its keys are for before anything is said."""
        self.call_id = message.call_id
        self.called = message.attach.called
        self.asked = message.attach.dark_request_id
        self.echoes = self.called not in ("silent", "hangup", "goodbye") and not self.asked
        self.send(attached=pb.Attached())
        if self.called not in ("pin", "secret"):
            self.send(menu_input=pb.MenuInput())
        elif self.called == "secret" and not self.asked:
            self.ask(12)
        if self.called in ("record", "secret"):
            self.send(recording=pb.Recording(wanted=True))
        log.info(
            "call %s attached, resume=%s, dark input %d, recording=%s",
            self.call_id,
            message.attach.resume,
            message.attach.dark_request_id,
            message.attach.recording,
        )

    def checked(self, result: pb.DarkInputResult) -> None:
        """The secret was checked, or could not be."""
        log.info("call %s dark input: outcome %d", self.call_id, result.outcome)
        if self.called == "secret":
            self.ask(12)
        else:
            self.echoes = True
            self.send(menu_input=pb.MenuInput())

    def receive(self, message: pb.FromConnector) -> None:
        event = message.WhichOneof("event")
        if event == "audio" and self.echoes:
            self.send(audio=pb.BotAudio(pcm=message.audio.pcm, kind=pb.BotAudio.SPEECH))
        elif event == "digit":
            self.digits += 1
            if self.called == "record":
                self.send(recording=pb.Recording(wanted=self.digits % 2 == 0))
        elif event == "transfer_progress":
            progress = message.transfer_progress
            log.info("call %s transfer: %d final=%s", self.call_id, progress.sip_status, progress.final)
            if progress.final and progress.sip_status // 100 == 2:
                self.send(hang_up=pb.HangUp(reason="transferred"))
        elif event == "dark_input_result":
            self.checked(message.dark_input_result)
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
                            asyncio.create_task(call.script(message.attach)),
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
