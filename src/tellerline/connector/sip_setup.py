"""How the pjsua2 library is set up: log, endpoint, transports, codecs, account."""

from __future__ import annotations

import ctypes
import importlib
import logging

import pjsua2 as pj

from tellerline.connector.media import RATE_HZ
from tellerline.errors import SettingsError
from tellerline.settings import SipSettings

library_log = logging.getLogger("pjsip")

# The library prints SIP messages, INFO bodies with digits included, from level 4 on.
_LIBRARY_LOG_LEVEL = 2


class LibraryLog(pj.LogWriter):  # type: ignore[misc]
    """Passes the library's warnings on, first line only: the rest may quote a message."""

    def write(self, entry: pj.LogEntry) -> None:
        level = logging.WARNING if entry.level >= 2 else logging.ERROR
        library_log.log(level, "%s", entry.msg.partition("\n")[0].strip())


def initialise(endpoint: pj.Endpoint, settings: SipSettings, writer: LibraryLog) -> None:
    """Creates the library; `writer` must be kept as long as it lives.

    Raises SettingsError where it was built for fewer calls than the lane carries, pj.Error otherwise.
    """
    exported = ctypes.CDLL(importlib.import_module("pjsua2._pjsua2").__file__)
    # It prints before libInit hands it our log settings.
    exported.pj_log_set_level(_LIBRARY_LOG_LEVEL)
    endpoint.libCreate()
    endpoint.libInit(_endpoint_config(settings, writer))
    capacity = exported.pjsua_call_get_max_count()
    if capacity < settings.lane_calls:
        raise SettingsError(
            f"sip.lane_calls: {settings.lane_calls} is more than the {capacity} calls this pjsua2 "
            f"library was built for; set {capacity} or less and add lanes, or install a wheel "
            "with a larger PJSUA_MAX_CALLS"
        )


def _endpoint_config(settings: SipSettings, writer: LibraryLog) -> pj.EpConfig:
    config = pj.EpConfig()
    config.uaConfig.maxCalls = settings.lane_calls
    config.uaConfig.threadCnt = 0
    config.uaConfig.userAgent = "tellerline"
    # With these the library looks names up without waiting; without, a BYE to a name blocks this thread.
    for server in settings.nameservers:
        config.uaConfig.nameserver.append(str(server))
    config.logConfig.level = _LIBRARY_LOG_LEVEL
    config.logConfig.consoleLevel = 0
    config.logConfig.msgLogging = 0
    config.logConfig.writer = writer
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


def listen(endpoint: pj.Endpoint, settings: SipSettings) -> None:
    """Opens the SIP port for UDP and TCP. Raises pj.Error."""
    for kind in (pj.PJSIP_TRANSPORT_UDP, pj.PJSIP_TRANSPORT_TCP):
        transport = pj.TransportConfig()
        transport.port = settings.port
        transport.boundAddress = settings.bind_host
        transport.publicAddress = settings.public_host or settings.bind_host
        endpoint.transportCreate(kind, transport)


def choose_codecs(endpoint: pj.Endpoint) -> None:
    """G.711 alone, mu-law first."""
    for codec in endpoint.codecEnum2():
        priority = {"PCMU/8000/1": 255, "PCMA/8000/1": 254}.get(codec.codecId, 0)
        endpoint.codecSetPriority(codec.codecId, priority)


def account_config(settings: SipSettings) -> pj.AccountConfig:
    """Of the one account: where our RTP and SIP are, and which of the library's initiatives are off."""
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
