"""SIP dialogs and RTP through pjsua2; no other module imports it.

Theory of operation
-------------------
One thread, "sip", creates the library, polls it and runs every operation on it, so calls into pjsua2
never race with its callbacks. The loop posts operations with `post`-like methods (`answer`, `refuse`,
`hang_up`, ...) and hears of events through a `SipListener`, always on the loop. Calls are known to the
rest of the connector by a number of ours that is never reused; pjsua's ids are.

The library's clock thread asks each call's audio port for 20 ms and gives it 20 ms; ports (`Seat`s) are
made once and connected to whichever call sits there, because removing one from a running conference is
asynchronous in the library.

A Call object that is collected late hangs up whichever call took its id since (pjproject #3856).
Therefore it is destroyed inside the DISCONNECTED callback, where the id is still its own, and cyclic
garbage is only ever collected on the sip thread.

RTP may come from elsewhere than the SDP says (RFC 4961 symmetric RTP): the library sends to the SDP's
address until ten packets have come from another one, then follows those.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import pjsua2 as pj

from tellerline.connector import dtmf, sip_module
from tellerline.connector.media import RATE_HZ, TICK_BYTES, Seat
from tellerline.errors import SettingsError, SipError
from tellerline.settings import SipSettings

log = logging.getLogger(__name__)
library_log = logging.getLogger("pjsip")

_POLL_MS = 10
_STATISTICS_SECONDS = 1.0
_COLLECT_SECONDS = 60.0
_START_SECONDS = 10.0
# The library prints SIP messages, INFO bodies with digits included, from level 4 on.
_LIBRARY_LOG_LEVEL = 2
_DTMF_IS_UPDATE = 1  # PJMEDIA_STREAM_DTMF_IS_UPDATE
_REQUEST_USER = re.compile(r"^[A-Z]+ sips?:([^@>;\s]{1,64})@")
_URI_USER = re.compile(r"sips?:([^@>;\s]{1,64})@")
# A plain SIP URI, no header part and nothing that could end the header line.
_TRANSFER_TARGET = re.compile(
    r"sips?:[A-Za-z0-9+*#_.!~'()%-]{1,64}@[A-Za-z0-9.\[\]:-]{1,255}(;[A-Za-z0-9=._-]+)*"
)


@dataclass(frozen=True)
class Invitation:
    """A new INVITE, before any answer but 100."""

    call: int
    seat: int
    sip_call_id: str
    caller: str
    called: str


@dataclass(frozen=True)
class Negotiated:
    """What offer and answer agreed on."""

    codec: str
    telephone_event: bool


class SipListener(Protocol):
    """What the stack reports, on the loop, in order per call."""

    def invited(self, invitation: Invitation) -> None: ...
    def media_changed(self, call: int, negotiated: Negotiated, held: bool) -> None: ...
    def confirmed(self, call: int, at_ns: int) -> None: ...
    def answer_failed(self, call: int) -> None: ...
    def digit(self, call: int, digit: str, duration_ms: int) -> None: ...
    def rtp_silent(self, call: int) -> None: ...
    def transfer_status(self, call: int, sip_status: int, final: bool) -> None: ...
    def refused_below(self, sip_status: int) -> None: ...
    def disconnected(self, call: int, sip_status: int, answered: bool) -> None: ...


def _bytes_of(vector: Any) -> bytes:
    """A std::vector<uint8_t>'s bytes by its begin and end pointers: 2 us, where bytes(vector) takes 364."""
    begin, end = (ctypes.c_void_p * 2).from_address(int(vector.this))
    return ctypes.string_at(begin, end - begin) if begin and end else b""


class _Log(pj.LogWriter):  # type: ignore[misc]
    """Passes the library's warnings on, first line only: the rest may quote a message."""

    def write(self, entry: pj.LogEntry) -> None:
        level = logging.WARNING if entry.level >= 2 else logging.ERROR
        library_log.log(level, "%s", entry.msg.partition("\n")[0].strip())


class _Port(pj.AudioMediaPort):  # type: ignore[misc]
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


class _Dialog(pj.Call):  # type: ignore[misc]
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


class _Account(pj.Account):  # type: ignore[misc]
    """The one account: takes whatever is called, registers nowhere."""

    def __init__(self, stack: SipStack) -> None:
        super().__init__()
        self._stack = stack

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        self._stack.incoming(prm.callId, prm.rdata.wholeMsg)


def _account_config(settings: SipSettings) -> pj.AccountConfig:
    host = settings.public_host or settings.bind_host
    config = pj.AccountConfig()
    config.idUri = f"sip:tellerline@{host}:{settings.port}"
    config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_ALWAYS
    config.callConfig.timerSessExpiresSec = settings.session_expires_seconds
    config.callConfig.timerMinSESec = min(90, settings.session_expires_seconds)
    config.callConfig.prackUse = pj.PJSUA_100REL_NOT_USED
    media = config.mediaConfig
    media.transportConfig.port = settings.rtp_port_first
    media.transportConfig.portRange = settings.rtp_port_count
    media.transportConfig.boundAddress = settings.bind_host
    media.transportConfig.publicAddress = host
    media.transportConfig.qosType = pj.PJ_QOS_TYPE_VOICE
    media.srtpUse = pj.PJMEDIA_SRTP_DISABLED
    media.streamKaEnabled = False
    # When a peer's answer names both laws the library would re-offer one by UPDATE; either law is played.
    media.lockCodecEnabled = False
    # Addresses are configured; what a peer says about ours changes nothing.
    nat = config.natConfig
    nat.contactRewriteUse = nat.viaRewriteUse = nat.sdpNatRewriteUse = 0
    nat.sipOutboundUse = 0
    return config


class SipStack:
    """The library, its thread and its calls."""

    def __init__(
        self, settings: SipSettings, seats: list[Seat], listener: SipListener, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._settings = settings
        self._seats = seats
        self._listener = listener
        self._loop = loop
        self._operations: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._dialogs: dict[int, _Dialog] = {}
        self._last_call = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sip", daemon=True)
        self._started: asyncio.Future[None] = loop.create_future()
        self.ports: list[_Port] = []

    # ---- the loop's side

    async def start(self) -> None:
        """Returns when the ports listen. Raises SettingsError or SipError."""
        self._thread.start()
        async with asyncio.timeout(_START_SECONDS):
            await self._started

    async def stop(self) -> None:
        """Ends every call with BYE and destroys the library."""
        self._stopping = True
        await asyncio.to_thread(self._thread.join, 5.0)

    def answer(self, call: int) -> None:
        """Sends 200 OK; `answer_failed` tells when it could not be sent."""
        self._operations.put(lambda: self._answer(call))

    def refuse(self, call: int, sip_status: int, retry_after_seconds: int = 0) -> None:
        """Answers the INVITE with a failure."""
        self._operations.put(lambda: self._hang_up(call, sip_status, retry_after_seconds))

    def hang_up(self, call: int) -> None:
        """Sends BYE."""
        self._operations.put(lambda: self._hang_up(call, 0, 0))

    def refer(self, call: int, target: str, user_to_user: str = "") -> None:
        """Sends REFER (RFC 3515); `transfer_status` tells how it goes."""
        self._operations.put(lambda: self._refer(call, target, user_to_user))

    async def set_ready(self, ready: bool) -> None:
        """Says whether INVITE and OPTIONS outside dialogs get 503; returns once it holds."""
        holds = asyncio.Event()

        def apply() -> None:
            sip_module.set_ready(ready, self._settings.retry_after_seconds)
            self._loop.call_soon_threadsafe(holds.set)

        self._operations.put(apply)
        await holds.wait()

    def heartbeat(self) -> None:
        """Shows the stack that the loop lives; without it, it stops taking calls."""
        if self.ports:
            sip_module.heartbeat()

    # ---- the sip thread

    def _run(self) -> None:
        endpoint, problem = pj.Endpoint(), None
        try:
            self._create(endpoint)
        except Exception as error:
            problem = self._explain(error)
        else:
            self._loop.call_soon_threadsafe(self._started.set_result, None)
            self._serve(endpoint)
        # Here, and before anyone hears of the problem: a library destroyed by the process's exit aborts.
        with contextlib.suppress(pj.Error):
            endpoint.libDestroy()
        if problem is not None:
            self._loop.call_soon_threadsafe(self._started.set_exception, problem)

    def _explain(self, error: Exception) -> Exception:
        if not isinstance(error, pj.Error):
            return error
        return SipError(
            f"SIP on {self._settings.bind_host}:{self._settings.port} cannot start: {error.reason}; "
            "is the port taken, or the address not this machine's?"
        )

    def _serve(self, endpoint: pj.Endpoint) -> None:
        # What lives now lives for good; later collections need not look at it.
        gc.collect()
        gc.freeze()
        self._poll(endpoint)
        with contextlib.suppress(pj.Error):
            endpoint.hangupAllCalls()
            for _ in range(20):
                endpoint.libHandleEvents(_POLL_MS)

    def _create(self, endpoint: pj.Endpoint) -> None:
        gc.disable()
        settings = self._settings
        exported = ctypes.CDLL(importlib.import_module("pjsua2._pjsua2").__file__)
        # It prints before libInit hands it our log settings.
        exported.pj_log_set_level(_LIBRARY_LOG_LEVEL)
        endpoint.libCreate()
        endpoint.libInit(self._endpoint_config())
        capacity = exported.pjsua_call_get_max_count()
        if capacity < settings.lane_calls:
            raise SettingsError(
                f"sip.lane_calls: {settings.lane_calls} is more than the {capacity} calls this pjsua2 "
                f"library was built for; set {capacity} or less and add lanes, or install a wheel "
                "with a larger PJSUA_MAX_CALLS"
            )
        sip_module.register(self._refused_below)
        for kind in (pj.PJSIP_TRANSPORT_UDP, pj.PJSIP_TRANSPORT_TCP):
            transport = pj.TransportConfig()
            transport.port = settings.port
            transport.boundAddress = settings.bind_host
            transport.publicAddress = settings.public_host or settings.bind_host
            endpoint.transportCreate(kind, transport)
        for codec in endpoint.codecEnum2():
            priority = {"PCMU/8000/1": 255, "PCMA/8000/1": 254}.get(codec.codecId, 0)
            endpoint.codecSetPriority(codec.codecId, priority)
        endpoint.audDevManager().setNullDev()
        endpoint.libStart()
        self._account = _Account(self)
        self._account.create(_account_config(settings), True)
        self.ports = [_Port(seat) for seat in self._seats]

    def _endpoint_config(self) -> pj.EpConfig:
        config = pj.EpConfig()
        config.uaConfig.maxCalls = self._settings.lane_calls
        config.uaConfig.threadCnt = 0
        config.uaConfig.userAgent = "tellerline"
        # With these the library looks names up without waiting; without, a BYE to a name blocks this thread.
        for server in self._settings.nameservers:
            config.uaConfig.nameserver.append(str(server))
        config.logConfig.level = _LIBRARY_LOG_LEVEL
        config.logConfig.consoleLevel = 0
        config.logConfig.msgLogging = 0
        self._log = _Log()
        config.logConfig.writer = self._log
        media = config.medConfig
        media.clockRate = media.sndClockRate = RATE_HZ
        media.audioFramePtime = 20
        media.ecTailLen = 0
        # A stream must never stop: RTP goes out every 20 ms even when nobody speaks.
        media.noVad = True
        media.threadCnt = 1
        # Adaptive from one frame; rtpengine's side is a few ms of jitter, a carrier's some tens.
        media.jbInit = media.jbMinPre = 20
        media.jbMaxPre = 100
        media.jbMax = 200
        return config

    def _poll(self, endpoint: pj.Endpoint) -> None:
        statistics_at = time.monotonic() + _STATISTICS_SECONDS
        collect_at = time.monotonic() + _COLLECT_SECONDS
        while not self._stopping:
            try:
                endpoint.libHandleEvents(_POLL_MS)
            except pj.Error as error:
                log.error("polling SIP failed: %s", error.reason)
                time.sleep(_POLL_MS / 1000)
            self._operate()
            now = time.monotonic()
            if now >= statistics_at:
                statistics_at = now + _STATISTICS_SECONDS
                self._find_silence(now)
            if now >= collect_at:
                collect_at = now + _COLLECT_SECONDS
                gc.collect()
        self._operate()

    def _operate(self) -> None:
        while True:
            try:
                operation = self._operations.get_nowait()
            except queue.Empty:
                return
            try:
                operation()
            except pj.Error as error:
                # Most often the far end was faster: the dialog is gone already.
                log.warning("SIP operation refused: %s", error.reason)
            except Exception:
                log.exception("SIP operation failed")

    def _find_silence(self, now: float) -> None:
        for call, dialog in list(self._dialogs.items()):
            if dialog.answered and dialog.silent_seconds(now) >= self._settings.rtp_silence_seconds:
                self.tell("rtp_silent", call)

    def _answer(self, call: int) -> None:
        dialog = self._dialogs.get(call)
        if dialog is None:
            return
        operation = pj.CallOpParam()
        operation.statusCode = pj.PJSIP_SC_OK
        try:
            dialog.answer(operation)
        except pj.Error as error:
            log.warning("call could not be answered: %s", error.reason)
            self.tell("answer_failed", call)
            if call in self._dialogs:
                self._hang_up(call, pj.PJSIP_SC_NOT_ACCEPTABLE_HERE, 0)

    def _hang_up(self, call: int, sip_status: int, retry_after_seconds: int) -> None:
        dialog = self._dialogs.get(call)
        if dialog is None:
            return
        operation = pj.CallOpParam()
        operation.statusCode = sip_status
        if sip_status == pj.PJSIP_SC_SERVICE_UNAVAILABLE:
            header = pj.SipHeader()
            header.hName = "Retry-After"
            header.hValue = str(retry_after_seconds or self._settings.retry_after_seconds)
            operation.txOption.headers.push_back(header)
        dialog.hangup(operation)

    def _refer(self, call: int, target: str, user_to_user: str) -> None:
        dialog = self._dialogs.get(call)
        if dialog is None:
            return
        if not _TRANSFER_TARGET.fullmatch(target):
            log.error("transfer refused: the target is not a plain SIP URI")
            self.tell("transfer_status", call, 400, True)
            return
        # RFC 7433 section 4.1: the value rides in the Refer-To URI.
        uui = f"?User-to-User={quote(user_to_user, safe='')}" if user_to_user else ""
        try:
            dialog.xfer(f"<{target}{uui}>", pj.CallOpParam(True))
        except pj.Error as error:
            log.warning("REFER could not be sent: %s", error.reason)
            self.tell("transfer_status", call, 500, True)

    def _refused_below(self, method: str, sip_status: int) -> None:
        if method == "INVITE":
            self.tell("refused_below", sip_status)

    # ---- callbacks' side: sip thread, or a media thread for DTMF

    def tell(self, event: str, *details: Any) -> None:
        """Calls the listener's `event` method on the loop."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(getattr(self._listener, event), *details)

    def incoming(self, pjsua_id: int, message: str) -> None:
        """Takes a seat for a new INVITE, or says 486."""
        taken = {dialog.seat for dialog in self._dialogs.values()}
        seat = next((seat.index for seat in self._seats if seat.index not in taken), None)
        self._last_call += 1
        call = self._last_call
        dialog = _Dialog(self, self._account, pjsua_id, call, -1 if seat is None else seat)
        self._dialogs[call] = dialog
        if seat is None:
            self._hang_up(call, pj.PJSIP_SC_BUSY_HERE, 0)
            return
        info = dialog.getInfo()
        called = _REQUEST_USER.match(message)
        caller = _URI_USER.search(info.remoteUri)
        self.tell(
            "invited",
            Invitation(
                call,
                seat,
                info.callIdString,
                caller.group(1) if caller else "",
                called.group(1) if called else "",
            ),
        )

    def drop(self, dialog: _Dialog, sip_status: int) -> None:
        """Forgets a disconnected call and destroys its C++ object while its id is still its own."""
        self._dialogs.pop(dialog.call, None)
        self.tell("disconnected", dialog.call, int(sip_status), dialog.answered)
        _Dialog.__swig_destroy__(dialog)
