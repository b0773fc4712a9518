"""Feeds the service manager's watchdog through the work itself, and tells it how the daemon is.

A timer of its own would go on feeding while the work hangs. So every round asks the work: a turn of each
model's worker, a window of sound through the voice model, a SIP request to the own port. Whoever does not
come back from that is killed by systemd (SIGABRT) after WatchdogSec and started anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable

from tellerline.monitoring.notify import notify

log = logging.getLogger(__name__)

# Rounds within WatchdogSec (sd_watchdog_enabled(3) advises two): one may be lost to a busy machine.
_ROUNDS = 3
# Without a watchdog the status line is still kept up.
_STATUS_SECONDS = 5.0


def watchdog_seconds() -> float | None:
    """WatchdogSec of the unit this process is the main process of; None without one."""
    if not os.environ.get("NOTIFY_SOCKET") or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(
        os.getpid()
    ):
        return None
    limit = os.environ.get("WATCHDOG_USEC", "")
    return int(limit) / 1e6 if limit.isdecimal() and int(limit) > 0 else None


async def feed(work: Callable[[], Awaitable[None]], status: Callable[[], str]) -> None:
    """Feeds for ever: after each round of `work` that returns; one that raises or hangs feeds nothing.

    `status` is the line `systemctl status` shows.
    """
    limit = watchdog_seconds()
    every = limit / _ROUNDS if limit is not None else _STATUS_SECONDS
    while True:
        try:
            await work()
        except Exception as error:
            # What a library says may quote a caller.
            log.error("the watchdog is not fed: %s", type(error).__name__)
        else:
            notify(f"WATCHDOG=1\nSTATUS={status()}")
        await asyncio.sleep(every)


@contextlib.asynccontextmanager
async def fed(work: Callable[[], Awaitable[None]], status: Callable[[], str]) -> AsyncIterator[None]:
    """Feeds while the context is open."""
    feeding = asyncio.create_task(feed(work, status))
    try:
        yield
    finally:
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding
