"""Runs other programs for the bundle's builder, and says in one line what failed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tellerline.errors import BundleError

_TAIL_LINES = 12


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    shown: bool = False,
) -> str:
    """Runs `command` and returns its stdout; raises BundleError naming `what` with the end of its output.

    Where `shown`, output goes to the terminal, for progress: nothing is returned.
    """
    try:
        finished = subprocess.run(
            [str(part) for part in command],
            env=env,
            cwd=cwd,
            text=True,
            check=False,
            stdin=None if shown else subprocess.DEVNULL,
            stdout=None if shown else subprocess.PIPE,
            stderr=None if shown else subprocess.PIPE,
        )
    except FileNotFoundError:
        raise BundleError(f"bundle: {what}: no program {command[0]} here; install it") from None
    if finished.returncode != 0:
        told = "" if shown else "\n".join((finished.stdout + finished.stderr).splitlines()[-_TAIL_LINES:])
        raise BundleError(f"bundle: {what}: {command[0]} ended with {finished.returncode}\n{told}".rstrip())
    return finished.stdout or ""
