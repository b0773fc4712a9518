"""One call's pjsua2 objects: its dialog, and its audio port in the conference.

The library's clock thread asks each call's port for 20 ms and gives it 20 ms. Ports are made once, one a
`Seat`, and connected to whichever call sits there, because removing one from a running conference is
asynchronous in the library.
"""

from __future__ import annotations

import contextlib
import ctypes
import time
from typing import TYPE_CHECKING, Any

import pjsua2 as pj

from tellerline.connector import dtmf
from tellerline.connector.media import RATE_HZ, TICK_BYTES, Seat
from tellerline.connector.sip_listener import Negotiated

if TYPE_CHECKING:
    from tellerline.connector.sip import SipStack

_DTMF_IS_UPDATE = 1  # PJMEDIA_STREAM_DTMF_IS_UPDATE


def _bytes_of(vector: Any) -> bytes:
    """A std::vector<uint8_t>'s bytes by its begin and end pointers: 2 us, where bytes(vector) takes 364."""
    begin, end = (ctypes.c_void_p * 2).from_address(int(vector.this))
    return ctypes.string_at(begin, end - begin) if begin and end else b""


class Port(pj.AudioMediaPort):  # type: ignore[misc]
    """A seat's place in the conference: two callbacks every 20 ms on the clock thread."""

    def __init__(self, seat: Seat) -> None:
        super().__init__()
        self._seat = seat
        # Copied by C++ into each frame; its 320 bytes are overwritten in place through ctypes.
        self._outgoing = pj.ByteVector(bytes(TICK_BYTES))
        self._address = ctypes.c_void_p.from_address(int(self._outgoing.this))
        shape = pj.MediaFormatAudio()
        shape.init(pj.PJMEDIA_FORMAT_PCM, RATE_HZ, 1, 20000, 16)
        self.createPort(f"seat-{seat.index}", shape)

    def onFrameRequested(self, frame: pj.MediaFrame) -> None:
        ctypes.memmove(self._address, self._seat.take(), TICK_BYTES)
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        frame.buf = self._outgoing

    def onFrameReceived(self, frame: pj.MediaFrame) -> None:
        self._seat.give(_bytes_of(frame.buf) if frame.size == TICK_BYTES else b"")


class Dialog(pj.Call):  # type: ignore[misc]
    """One pjsua2 call. Every callback but DTMF's runs on the sip thread."""

    def __init__(self, stack: SipStack, account: pj.Account, pjsua_id: int, call: int, seat: int) -> None:
        super().__init__(account, pjsua_id)
        self.stack = stack
        self.call = call
        self.seat = seat
        self.answered = False
        self.held = False
        self.packets = -1
        self.packets_changed_at = time.monotonic()

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONNECTING:
            self.answered = True
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.packets_changed_at = time.monotonic()
            self.stack.tell("confirmed", self.call, time.monotonic_ns())
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.stack.drop(self, info.lastStatusCode)

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:
        # Kept: SWIG's members point into their parent without holding it.
        info = self.getInfo()
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status != pj.PJSUA_CALL_MEDIA_NONE:
                self._media_changed(media)
                return

    def _media_changed(self, media: pj.CallMediaInfo) -> None:
        # Whoever sends "sendonly" or "inactive" (or c=0.0.0.0, RFC 2543) does not listen to us.
        self.held = not media.dir & pj.PJMEDIA_DIR_ENCODING or media.status != pj.PJSUA_CALL_MEDIA_ACTIVE
        self.packets_changed_at = time.monotonic()
        if media.audioConfSlot >= 0:
            audio, port = self.getAudioMedia(media.index), self.stack.ports[self.seat]
            port.startTransmit(audio)
            audio.startTransmit(port)
        codec, telephone_event = "", False
        with contextlib.suppress(pj.Error):
            # No stream while inactive.
            stream = self.getStreamInfo(media.index)
            codec, telephone_event = stream.codecName, stream.audTxEventPt > 0
        self.stack.tell("media_changed", self.call, Negotiated(codec, telephone_event), self.held)

    def onDtmfEvent(self, prm: pj.OnDtmfEventParam) -> None:
        # On the first packet of an event: waiting for its end would lose digits whose end is lost.
        pressed = dtmf.key(prm.digit)
        if pressed and not prm.flags & _DTMF_IS_UPDATE:
            self.stack.tell("digit", self.call, pressed, prm.duration * 1000 // RATE_HZ)

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:
        # The library would INVITE whatever Refer-To says: toll fraud.
        prm.statusCode = pj.PJSIP_SC_DECLINE

    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:
        prm.statusCode = pj.PJSIP_SC_DECLINE

    def onCallTransferStatus(self, prm: pj.OnCallTransferStatusParam) -> None:
        self.stack.tell("transfer_status", self.call, int(prm.statusCode), bool(prm.finalNotify))

    def silent_seconds(self, now: float) -> float:
        """How long the count of received RTP packets has stood still."""
        with contextlib.suppress(pj.Error):
            statistics = self.getStreamStat(0)
            packets = statistics.rtcp.rxStat.pkt
            # "Not equal" because a re-INVITE starts the count again.
            if packets != self.packets:
                self.packets, self.packets_changed_at = packets, now
        if self.held:
            self.packets_changed_at = now
        return now - self.packets_changed_at
