"""The service manager's notification protocol (sd_notify(3)) and logging set-up."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from typing import Any, ClassVar, TextIO

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


def status(line: str) -> None:
    """Shows `line` in `systemctl status`."""
    notify(f"STATUS={line}")


def more_time(seconds: float) -> None:
    """Has the service manager wait so long for the next word from now on, in a start or a stop.

    Called where work was done, never by a timer: a start that hangs must end (sd_notify(3),
    EXTEND_TIMEOUT_USEC; it never shortens TimeoutStartSec or TimeoutStopSec).
    """
    notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")


def reloading() -> None:
    """Settings are being read again; READY=1 ends it."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify(f"RELOADING=1\nMONOTONIC_USEC={now}")


def set_up_logging(settings: Monitoring, daemon: str) -> None:
    """Logs to standard error, one line an event; no transcript, digit or account number at any level.

    Into the journal with the event's priority, so that `journalctl -p err` and a SIEM find what is wrong.
    """
    handler = logging.StreamHandler(sys.stderr)
    if _is_journal(sys.stderr):
        handler.setFormatter(_JournalFormatter("%(levelname)s %(name)s %(message)s"))
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {daemon} %(name)s %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    silence_loguru()


class _JournalFormatter(logging.Formatter):
    """Puts syslog's priority before every line (sd-daemon(3)); the journal has time and name by itself."""

    _PRIORITIES: ClassVar[dict[int, int]] = {
        logging.DEBUG: 7,
        logging.INFO: 6,
        logging.WARNING: 4,
        logging.ERROR: 3,
        logging.CRITICAL: 2,
    }

    def format(self, record: logging.LogRecord) -> str:
        """The event, one priority a line."""
        mark = f"<{self._PRIORITIES.get(record.levelno, 5)}>"
        return mark + super().format(record).replace("\n", f"\n{mark}")


def _is_journal(stream: TextIO) -> bool:
    """Whether systemd connected `stream` to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        here = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{here.st_dev}:{here.st_ino}"


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
