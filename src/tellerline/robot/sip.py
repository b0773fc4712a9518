"""The robot's SIP: pjsua2 for signalling only; media belongs to media.py.

pjsua2 keeps media time to itself, so every call gets its loop transport (no sockets) and the SDP it
made is rewritten in `onCallSdpCreated` to carry our own socket's address and port; re-INVITEs pass
there too. Checked with the pjsua2-python 2.15.1 wheel: the rewritten text is what goes out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pjsua2 as pj

from tellerline.errors import SipError
from tellerline.robot.g711 import BY_NAME
from tellerline.robot.media import CallMedia

# The stock wheel's PJSUA_MAX_CALLS.
CALLS_A_PROCESS = 4
_EVENT_PAYLOAD_TYPE = 120


def _event_payload_type(sdp: str) -> int:
    found = re.search(r"a=rtpmap:(\d+) telephone-event/8000", sdp, re.IGNORECASE)
    return int(found[1]) if found else _EVENT_PAYLOAD_TYPE


class Dialog(pj.Call):  # type: ignore[misc]
    """One outgoing call."""

    def __init__(self, account: Any, media: CallMedia, host: str, tell: Callable[[str, str], None]) -> None:
        super().__init__(account)
        self._account = account
        # Kept until the end, as every Call (pjproject #3856).
        self._transferred: Any = None
        self.media = media
        self.done = False
        self._host = host
        self._port = media.socket.getsockname()[1]
        self._tell = tell
        self._hanging_up = False
        self._event_payload_type = _EVENT_PAYLOAD_TYPE

    def onCallSdpCreated(self, prm: Any) -> None:
        """Puts our own address and port into the SDP."""
        sdp = re.sub(r"m=audio [1-9]\d*", f"m=audio {self._port}", prm.sdp.wholeSdp)
        sdp = re.sub(r"(?m)^(o=.*|c=)IN IP4 \S+", rf"\g<1>IN IP4 {self._host}", sdp)
        # The RTCP port and SSRC of the loop transport are nobody's.
        prm.sdp.wholeSdp = re.sub(r"(?m)^a=(rtcp|ssrc|X-nat):.*\r?\n", "", sdp)

    def onCallTsxState(self, prm: Any) -> None:
        """Reads the telephone-event payload type from the other side's SDP."""
        state = prm.e.body.tsxState
        if state.type == pj.PJSIP_EVENT_RX_MSG and "m=audio" in state.src.rdata.wholeMsg:
            self._event_payload_type = _event_payload_type(state.src.rdata.wholeMsg)

    def onCallMediaState(self, prm: Any) -> None:
        """Points our RTP where the negotiated SDP says."""
        stream = self.getStreamInfo(0)
        host, _, port = stream.remoteRtpAddress.rpartition(":")
        codec = BY_NAME.get(stream.codecName.upper())
        if codec is not None and int(port or 0):
            self.media.connect((host.strip("[]"), int(port)), codec, self._event_payload_type)

    def onCallState(self, prm: Any) -> None:
        """Follows the dialog: ACK sent, ended and by whom."""
        now, info, trace = time.monotonic_ns(), self.getInfo(), self.media.trace
        trace.sip_call_id = info.callIdString
        if info.lastStatusCode:
            trace.status = info.lastStatusCode
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED and not trace.acknowledged_ns:
            trace.acknowledged_ns = now
            self._tell("answered", info.callIdString)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            trace.ended_ns = now
            if not trace.ended_by and trace.acknowledged_ns:
                trace.ended_by = "caller" if self._hanging_up else "bot"
            self.media.ended = True
            self.done = True
            self._tell("ended", trace.ended_by or f"{info.lastStatusCode} {info.lastReason}")

    def onCallTransferRequest(self, prm: Any) -> None:
        """Goes where a REFER sends it, as a bank's trunk does; the library dials and sends the NOTIFYs."""
        self.media.trace.referred_to = prm.dstUri
        self._transferred = pj.Call(self._account)
        prm.newCall = self._transferred
        prm.statusCode = pj.PJSIP_SC_ACCEPTED
        self._tell("transferred", prm.dstUri.partition("?")[0].strip("<>"))

    def ask(self, what: str) -> None:
        """Does what a script asked for; on the SIP thread. A refusal by the library is told as "refused"."""
        if self.done:
            return
        try:
            self._do(what)
        except pj.Error as error:
            self._tell("refused", f"{what.partition(':')[0]}: {error.reason}")

    def _do(self, what: str) -> None:
        if what == "hang_up":
            self._hanging_up = True
            self.hangup(pj.CallOpParam())
        elif what == "hold":
            self.media.held = True
            self.setHold(pj.CallOpParam())
        elif what == "unhold":
            parameters = pj.CallOpParam(True)
            parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
            parameters.opt.audioCount, parameters.opt.videoCount = 1, 0
            self.reinvite(parameters)
            self.media.held = False
        else:
            digit = pj.CallSendDtmfParam()
            digit.method = pj.PJSUA_DTMF_METHOD_SIP_INFO
            digit.duration = 160
            digit.digits = what.removeprefix("info:")
            self.sendDtmf(digit)


class UserAgent:
    """The SIP endpoint of this process. One per process: pjsua2 allows no second."""

    def __init__(self, host: str, port: int = 0, codecs: tuple[str, ...] = ("PCMU", "PCMA")) -> None:
        self._host = host
        self._endpoint = pj.Endpoint()
        self._endpoint.libCreate()
        config = pj.EpConfig()
        # At level 4 and above the library prints message bodies, INFO digits included.
        config.logConfig.level = config.logConfig.consoleLevel = 1
        config.uaConfig.threadCnt = 0
        config.uaConfig.maxCalls = CALLS_A_PROCESS
        config.uaConfig.userAgent = "tellerline-robot"
        config.medConfig.clockRate = 8000
        config.medConfig.threadCnt = 0
        config.medConfig.hasIoqueue = False
        config.medConfig.noVad = True
        self._endpoint.libInit(config)
        self._transports = {
            name: self._endpoint.transportCreate(kind, self._transport_config(port))
            for name, kind in (("udp", pj.PJSIP_TRANSPORT_UDP), ("tcp", pj.PJSIP_TRANSPORT_TCP))
        }
        # No device and no clock: pjsua2's media does nothing at all.
        self._endpoint.audDevManager().setNoDev()
        self._endpoint.libStart()
        for codec in self._endpoint.codecEnum2():
            name = codec.codecId.split("/")[0]
            self._endpoint.codecSetPriority(codec.codecId, 255 - codecs.index(name) if name in codecs else 0)
        self._account = self._make_account()
        self._dialogs: list[Dialog] = []

    def call(self, uri: str, media: CallMedia, tell: Callable[[str, str], None]) -> Dialog:
        """Sends the INVITE. Raises SipError for a URI that is none."""
        dialog = Dialog(self._account, media, self._host, tell)
        parameters = pj.CallOpParam(True)
        parameters.opt.audioCount, parameters.opt.videoCount = 1, 0
        media.trace.invited_ns = time.monotonic_ns()
        try:
            dialog.makeCall(uri, parameters)
        except pj.Error as error:
            raise SipError(f"sip: cannot dial {uri!r} ({error.reason}); give sip:user@host:port") from None
        # Kept until the end: a collected Call hangs up whichever live call reused its id (pjproject #3856).
        self._dialogs.append(dialog)
        return dialog

    def poll(self, ms: int) -> None:
        """Handles SIP for at most `ms` milliseconds; releases the interpreter lock while it waits."""
        self._endpoint.libHandleEvents(ms)

    def close(self) -> None:
        """Ends the library."""
        self._dialogs.clear()
        self._endpoint.libDestroy()

    def _transport_config(self, port: int) -> Any:
        config = pj.TransportConfig()
        config.port = port
        config.boundAddress = self._host
        return config

    def _make_account(self) -> Any:
        config = pj.AccountConfig()
        config.idUri = f"sip:robot@{self._host}"
        config.mediaConfig.useLoopMedTp = True
        config.mediaConfig.enableLoopback = False
        config.callConfig.timerMinSESec = 90
        account = pj.Account()
        account.create(config)
        return account
