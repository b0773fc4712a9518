"""The gate before the SIP stack: a pjsip module that answers what pjsua must never see.

pjsua answers OPTIONS by itself, takes an inbound REFER (202, then an INVITE to wherever it says: toll
fraud) and lets Replaces take over a call. It has no hook before any of that, so this module
registers one in the layer below, through ctypes.

It sits between pjsip's transaction layer and its dialogs (sip_module.h: 16 and 32), so retransmissions
of requests that have a transaction never reach it. What it refuses, it refuses statelessly (RFC 3261
8.2.7), To tag derived from the branch: a retransmission gets the same answer and nothing is kept. A
refused in-dialog REFER leaves the dialog's remote CSeq where it was; the next request is then higher by
more than one, which RFC 3261 12.2.2 allows.

pjsip forgets an INVITE's transaction at the ACK. A copy of the INVITE that the network delivers after
that would be a second call (measured: answered 200 with a new To tag), so it is dropped here as
RFC 6026 7.1 has it.

Digits in SIP INFO come as application/dtmf-relay, which pjsua takes, or as application/dtmf, the digit
alone, which it answers 500. The gate turns the second into the first before pjsua looks.
"""

from __future__ import annotations

import collections
import ctypes
import logging
import time
from collections.abc import Callable
from ctypes import byref

from tellerline.connector import pjsip_layout
from tellerline.errors import SipError

log = logging.getLogger(__name__)

# Twenty missed beats of a 100 ms timer; OpenSIPS' probe then moves calls to another lane.
HEARTBEAT_LIMIT_SECONDS = 2.0
# 64 × T1: how long a sender may repeat an INVITE (RFC 3261 17.1.1.2, timer B).
RETRANSMISSION_SECONDS = 32.0

_PRIORITY = 24  # after PJSIP_MOD_PRIORITY_TSX_LAYER (16), before PJSIP_MOD_PRIORITY_UA_PROXY_LAYER (32)
_REMEMBERED_ACKS = 1024
# SUBSCRIBE: the stack would keep subscriptions nobody here serves, and CVE-2026-28799 is in that code.
_DECLINED = frozenset((b"REFER", b"SUBSCRIBE"))

# A message's pointer is set to these, so they live as long as the process.
_RELAY_SUBTYPE = pjsip_layout.pj_str(b"dtmf-relay")
_RELAY_BODIES = {
    digit: pjsip_layout.pj_str(b"Signal=%s\r\nDuration=160\r\n" % digit)
    for digit in (bytes([character]) for character in b"0123456789*#ABCD")
}

RefusalHook = Callable[[str, int], None]
_Identity = tuple[bytes, bytes, int]


class _Gate:
    """One registered module and what its callback decides from."""

    def __init__(self, on_refused: RefusalHook | None) -> None:
        self._library = library = pjsip_layout.load()
        self._endpoint: int = library.pjsua_get_pjsip_endpt()
        if not self._endpoint:
            raise SipError("the SIP endpoint does not exist yet; register after libInit")
        self._offsets = pjsip_layout.find_offsets(library, self._endpoint)
        self._on_refused = on_refused
        self._ready = False
        self.beaten_at = float("-inf")
        # Lives as long as the endpoint, which frees it: the Retry-After headers are in it.
        self._pool = library.pjsip_endpt_create_pool(self._endpoint, b"tellerline-gate", 1024, 1024)
        self._retry_after_lists: dict[int, pjsip_layout.HeaderList] = {}
        self._retry_after = self._retry_after_list(1)
        self._acknowledged: collections.OrderedDict[_Identity, float] = collections.OrderedDict()
        # What pjsip keeps pointers to.
        self._name = pjsip_layout.pj_str(b"mod-tellerline-gate")
        self._callback = pjsip_layout.OnRequest(self._on_request)
        self._module = pjsip_layout.Module(
            name=self._name, id=-1, priority=_PRIORITY, on_rx_request=self._callback
        )
        status = library.pjsip_endpt_register_module(self._endpoint, byref(self._module))
        if status != 0:
            raise SipError(f"the SIP stack refused the gate module (pj_status {status})")

    def set_ready(self, ready: bool, retry_after_seconds: int) -> None:
        self._retry_after = self._retry_after_list(retry_after_seconds)
        self._ready = ready

    def _takes_calls(self) -> bool:
        return self._ready and time.monotonic() - self.beaten_at <= HEARTBEAT_LIMIT_SECONDS

    def _on_request(self, rdata: int) -> int:
        """The C callback: true when the request ends here. An exception must not reach C."""
        try:
            return self._ends_here(rdata)
        except Exception:
            log.exception("the gate before the SIP stack failed on a request; the stack handles it")
            return 0

    def _ends_here(self, rdata: int) -> int:
        request = self._offsets.request(rdata)
        method = request.method.id
        if method == pjsip_layout.ACK:
            self._remember_ack(self._offsets.identity(rdata))
        elif method == pjsip_layout.INVITE:
            if pjsip_layout.find_header(self._library, ctypes.addressof(request), b"Replaces"):
                return self._refuse(rdata, "INVITE", 603)
            if not self._offsets.to_tag(rdata):
                if self._is_acknowledged(self._offsets.identity(rdata)):
                    return 1
                if not self._takes_calls():
                    return self._refuse(rdata, "INVITE", 503)
        elif method == pjsip_layout.OPTIONS:
            if not self._offsets.to_tag(rdata) and not self._takes_calls():
                return self._refuse(rdata, "OPTIONS", 503)
        elif method == pjsip_layout.OTHER:
            name = request.method.name.read().upper()
            if name in _DECLINED:
                return self._refuse(rdata, name.decode(), 603)
            if name == b"INFO":
                _relay_digit(request.body())
        return 0

    def _remember_ack(self, identity: _Identity) -> None:
        now = time.monotonic()
        self._acknowledged[identity] = now
        self._acknowledged.move_to_end(identity)
        oldest = next(iter(self._acknowledged.values()))
        while len(self._acknowledged) > _REMEMBERED_ACKS or oldest < now - RETRANSMISSION_SECONDS:
            self._acknowledged.popitem(last=False)
            oldest = next(iter(self._acknowledged.values()))

    def _is_acknowledged(self, identity: _Identity) -> bool:
        at = self._acknowledged.get(identity)
        return at is not None and time.monotonic() - at < RETRANSMISSION_SECONDS

    def _refuse(self, rdata: int, method: str, status: int) -> int:
        headers = byref(self._retry_after) if status == 503 else None
        sent = self._library.pjsip_endpt_respond_stateless(self._endpoint, rdata, status, None, headers, None)
        if sent != 0:
            log.warning("a %d to %s could not be sent (pj_status %d)", status, method, sent)
        if self._on_refused is not None:
            try:
                self._on_refused(method, status)
            except Exception:
                log.exception("counting a refused %s failed", method)
        return 1  # also when it could not be sent: the stack must not see it

    def _retry_after_list(self, seconds: int) -> pjsip_layout.HeaderList:
        """A pjsip header list of one Retry-After. Kept: the SIP thread may still be copying an older one."""
        if seconds not in self._retry_after_lists:
            header = self._library.pjsip_retry_after_hdr_create(self._pool, seconds)
            head = pjsip_layout.HeaderList(prev=header, next=header)
            node = pjsip_layout.HeaderList.from_address(header)
            node.prev = node.next = ctypes.addressof(head)
            self._retry_after_lists[seconds] = head
        return self._retry_after_lists[seconds]


def _relay_digit(body: pjsip_layout.Body | None) -> None:
    if body is None or body.content_subtype.read().lower() != b"dtmf":
        return
    relay = _RELAY_BODIES.get(body.read().strip().upper())
    if relay is not None:
        body.content_subtype = _RELAY_SUBTYPE
        body.data, body.length = relay.ptr, relay.slen


_gate: _Gate | None = None
# pjsip keeps pointers into a gate until its endpoint is destroyed, which nobody reports here.
_kept: list[_Gate] = []


def register(on_refused: RefusalHook | None = None) -> None:
    """Puts the gate before the stack. Call on a pjsua thread, after libInit and before libStart.

    Until `set_ready(True, …)` and a `heartbeat()` it refuses every new call, so a process that is still
    starting takes none. `on_refused(method, status)` is called on the SIP thread for each refusal and
    must be quick. Register again after libDestroy and a new libInit.

    Raises SipError when the library is not one whose memory layout is known.
    """
    global _gate
    _gate = _Gate(on_refused)
    _kept.append(_gate)


def set_ready(ready: bool, retry_after_seconds: int) -> None:
    """Says whether the lane takes new calls. Call on a pjsua thread.

    While false (draining, unhealthy), INVITE and OPTIONS outside a dialog get 503 with
    `Retry-After: retry_after_seconds` (RFC 3261 21.5.4); calls that run go on.
    """
    _registered().set_ready(ready, retry_after_seconds)


def heartbeat() -> None:
    """Shows that Python is alive; without a beat for 2 s the lane counts as not ready. Any thread."""
    _registered().beaten_at = time.monotonic()


def _registered() -> _Gate:
    if _gate is None:
        raise SipError("the gate is not registered; call sip_module.register() after libInit")
    return _gate
