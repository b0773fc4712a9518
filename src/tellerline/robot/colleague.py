"""A colleague's telephone: answers whoever is put through, says so with two tones, and waits for the end.

Stands in for the bank's call centre in the embedded stack; callers are transferred to it by REFER.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

import click
import pjsua2 as pj

_POLL_MS = 50
# 440 and 554 Hz, 0.4 s each: somebody has picked up.
_TONES_HZ = (440, 554)
_TONE_MS = 400


class _Conversation(pj.Call):  # type: ignore[misc]
    """One caller who was put through."""

    def __init__(self, account: Any, call_id: int) -> None:
        super().__init__(account, call_id)
        self.over = False
        self._tones: Any = None

    def onCallMediaState(self, prm: Any) -> None:
        """Plays the tones once the line is open."""
        if self._tones is not None:
            return
        self._tones = pj.ToneGenerator()
        self._tones.createToneGenerator(8000)
        played = pj.ToneDescVector()
        for frequency_hz in _TONES_HZ:
            tone = pj.ToneDesc()
            tone.freq1, tone.freq2, tone.on_msec, tone.off_msec = frequency_hz, 0, _TONE_MS, 0
            played.append(tone)
        self._tones.play(played, False)
        self._tones.startTransmit(self.getAudioMedia(-1))

    def onCallState(self, prm: Any) -> None:
        """Notes the end."""
        self.over = self.getInfo().state == pj.PJSIP_INV_STATE_DISCONNECTED


class _Desk(pj.Account):  # type: ignore[misc]
    """Answers every call."""

    def __init__(self) -> None:
        super().__init__()
        self.conversations: list[_Conversation] = []

    def onIncomingCall(self, prm: Any) -> None:
        """200 OK at once."""
        # Kept until it is over: a collected Call hangs up whichever call reused its id (pjproject #3856).
        self.conversations = [kept for kept in self.conversations if not kept.over]
        conversation = _Conversation(self, prm.callId)
        self.conversations.append(conversation)
        answer = pj.CallOpParam(True)
        answer.statusCode = 200
        conversation.answer(answer)


def _endpoint(host: str, port: int) -> Any:
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 1
    config.uaConfig.threadCnt = 0
    config.uaConfig.userAgent = "tellerline-colleague"
    config.medConfig.clockRate = 8000
    endpoint.libInit(config)
    for kind in (pj.PJSIP_TRANSPORT_UDP, pj.PJSIP_TRANSPORT_TCP):
        transport = pj.TransportConfig()
        transport.port, transport.boundAddress = port, host
        endpoint.transportCreate(kind, transport)
    endpoint.audDevManager().setNullDev()
    endpoint.libStart()
    return endpoint


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1024, 65000), default=5090, show_default=True)
def main(host: str, port: int) -> None:
    """Answers calls on sip:colleague@HOST:PORT until SIGTERM."""
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    endpoint = _endpoint(host, port)
    config = pj.AccountConfig()
    config.idUri = f"sip:colleague@{host}:{port}"
    config.mediaConfig.transportConfig.boundAddress = host
    desk = _Desk()
    desk.create(config)
    while not stopping:
        endpoint.libHandleEvents(_POLL_MS)
    desk.conversations.clear()
    endpoint.libDestroy()
    sys.exit(0)


if __name__ == "__main__":
    main()
