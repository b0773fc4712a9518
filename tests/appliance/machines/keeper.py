"""A site's first process, run as a program: when it ends, all of the site ends.

It imports nothing of the other modules: `python keeper.py FOLDER` is all there is to starting it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
from pathlib import Path


def keep(folder: Path) -> None:
    """Holds the site's lock, and buries processes whose parents ended."""
    lock = (folder / "keeper.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    (folder / "ready").touch()
    while True:
        signal.sigwait({signal.SIGCHLD})
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
