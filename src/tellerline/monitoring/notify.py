"""The service manager's notification protocol (sd_notify(3)) and logging set-up."""

from __future__ import annotations

import logging
import os
import socket
import sys
from typing import Any

from tellerline.settings import Monitoring

log = logging.getLogger("loguru")


def notify(state: str) -> None:
    """Sends `state` (e.g. "READY=1") to systemd; does nothing outside a Type=notify unit."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(state.encode(), address)


def set_up_logging(settings: Monitoring, daemon: str) -> None:
    """Logs to standard error, one line an event; no transcript, digit or account number at any level."""
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.log_level.upper(),
        format=f"%(asctime)s %(levelname)s {daemon} %(name)s %(message)s",
        force=True,
    )
    silence_loguru()


def silence_loguru() -> None:
    """Has loguru tell where pipecat warns, but never what: its texts quote callers at any level.

    Loguru's default sink prints DEBUG to standard error, transcripts included. Does nothing before
    loguru is imported.
    """
    loguru = sys.modules.get("loguru")
    if loguru is None:
        return

    def sink(message: Any) -> None:
        record = message.record
        error = f" ({record['exception'].type.__name__})" if record["exception"] else ""
        log.log(record["level"].no, "%s:%d%s", record["name"], record["line"], error)

    loguru.logger.remove()
    loguru.logger.add(sink, level="WARNING", format="{message}")
