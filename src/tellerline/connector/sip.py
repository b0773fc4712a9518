"""SIP dialogs and RTP through pjsua2; besides this module only its two parts import it.

The parts: `sip_setup.py` has the library's settings, `sip_dialog.py` one call's objects. This file has the
thread and the calls.

Theory of operation
-------------------
One thread, "sip", creates the library, polls it and runs every operation on it, so calls into pjsua2
never race with its callbacks. The loop posts operations with `post`-like methods (`answer`, `refuse`,
`hang_up`, ...) and hears of events through a `SipListener`, always on the loop. Calls are known to the
rest of the connector by a number of ours that is never reused; pjsua's ids are.

A Call object that is collected late hangs up whichever call took its id since (pjproject #3856).
Therefore it is destroyed inside the DISCONNECTED callback, where the id is still its own, and cyclic
garbage is only ever collected on the sip thread.

RTP may come from elsewhere than the SDP says (RFC 4961 symmetric RTP): the library sends to the SDP's
address until ten packets have come from another one, then follows those.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pjsua2 as pj

from tellerline.connector import sip_module, sip_setup
from tellerline.connector.media import Seat
from tellerline.connector.sip_dialog import Dialog, Port
from tellerline.connector.sip_listener import Invitation, SipListener
from tellerline.connector.user_to_user import value as user_to_user_value
from tellerline.errors import SipError
from tellerline.settings import SipSettings

log = logging.getLogger(__name__)

_POLL_MS = 10
_STATISTICS_SECONDS = 1.0
_COLLECT_SECONDS = 60.0
_START_SECONDS = 10.0
_REQUEST_USER = re.compile(r"^[A-Z]+ sips?:([^@>;\s]{1,64})@")
_URI_USER = re.compile(r"sips?:([^@>;\s]{1,64})@")
# A plain SIP URI, no header part and nothing that could end the header line.
_TRANSFER_TARGET = re.compile(
    r"sips?:[A-Za-z0-9+*#_.!~'()%-]{1,64}@[A-Za-z0-9.\[\]:-]{1,255}(;[A-Za-z0-9=._-]+)*"
)


class _Account(pj.Account):  # type: ignore[misc]
    """The one account: takes whatever is called, registers nowhere."""

    def __init__(self, stack: SipStack) -> None:
        super().__init__()
        self._stack = stack

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        self._stack.incoming(prm.callId, prm.rdata.wholeMsg)


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
        self._dialogs: dict[int, Dialog] = {}
        self._last_call = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sip", daemon=True)
        self._started: asyncio.Future[None] = loop.create_future()
        self.ports: list[Port] = []

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
        self._log = sip_setup.LibraryLog()
        sip_setup.initialise(endpoint, settings, self._log)
        sip_module.register(self._refused_below)
        sip_setup.listen(endpoint, settings)
        sip_setup.choose_codecs(endpoint)
        endpoint.audDevManager().setNullDev()
        endpoint.libStart()
        self._account = _Account(self)
        self._account.create(sip_setup.account_config(settings), True)
        self.ports = [Port(seat) for seat in self._seats]

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
        value = user_to_user_value(user_to_user) if user_to_user else None
        if user_to_user and value is None:
            log.error("the transfer carries no User-to-User: what was given is no reference")
        # The value rides in the Refer-To URI, escaped, and from there in the INVITE (RFC 7433 section 4.1).
        uui = f"?User-to-User={quote(value, safe='')}" if value else ""
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
        dialog = Dialog(self, self._account, pjsua_id, call, -1 if seat is None else seat)
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

    def drop(self, dialog: Dialog, sip_status: int) -> None:
        """Forgets a disconnected call and destroys its C++ object while its id is still its own."""
        self._dialogs.pop(dialog.call, None)
        self.tell("disconnected", dialog.call, int(sip_status), dialog.answered)
        Dialog.__swig_destroy__(dialog)
