"""The service manager's notification protocol (sd_notify(3)) and logging set-up."""

from __future__ import annotations

import logging
import os
import socket
import sys

from tellerline.settings import Monitoring


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
    _bridge_loguru(settings.log_level)


def _bridge_loguru(level: str) -> None:
    # pipecat logs through loguru, whose default sink prints DEBUG to stderr, transcripts included.
    loguru = sys.modules.get("loguru")
    if loguru is None:
        return
    loguru.logger.remove()
    loguru.logger.add(
        lambda message: logging.getLogger("pipecat").log(
            message.record["level"].no, message.record["message"]
        ),
        # Pipecat's INFO and DEBUG texts can quote what callers say.
        level="WARNING",
        format="{message}",
    )
