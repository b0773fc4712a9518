"""Who runs PostgreSQL, which refuses to run as root."""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tellerline.errors import DatastoreError


@dataclass(frozen=True)
class Runner:
    """Who runs PostgreSQL: what its commands begin with, and whose its files are on disk."""

    prefix: tuple[str, ...]
    uid: int
    gid: int


def runner() -> Runner:
    """PostgreSQL dies with us, and is not root, which it refuses to be.

    A namespace in which root's number is another one leaves files as they are. Where namespaces are forbidden
    (a chroot, some containers) it is "nobody", who owns the data and is let through folders that only root
    may enter: those above the data and the wheel often are. (It asks access(2) about its own files, which
    forgets capabilities unless told not to: `no_setuid_fixup`, capabilities(7).)
    """
    dies_with_us = ("setpriv", "--pdeathsig", "INT")
    if os.geteuid() != 0:
        return Runner(dies_with_us, os.geteuid(), os.getegid())
    try:
        # A user that exists: initdb looks itself up, and a fresh Debian has none with the number 1000.
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise DatastoreError(
            'PostgreSQL does not run as root, and this system knows no user "nobody"; start Tellerline as '
            "another user"
        ) from error
    if may_have_a_namespace():
        mapped = (f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
        return Runner(("unshare", "--user", *mapped, *dies_with_us), 0, 0)
    setpriv = (
        "setpriv",
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--securebits=+no_setuid_fixup",
        "--bounding-set=-all,+dac_override",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
    )
    return Runner((*setpriv, *dies_with_us), nobody.pw_uid, nobody.pw_gid)


@functools.cache
def may_have_a_namespace() -> bool:
    with contextlib.suppress(OSError):
        done = subprocess.run(("unshare", "--user", "--map-user=1000", "true"), capture_output=True)
        return done.returncode == 0
    return False


def hand_over(data: Path, runner: Runner) -> None:
    """Gives a cluster that another kind of runner made to this one: PostgreSQL wants to own it."""
    if os.geteuid() != 0 or not data.exists() or data.stat().st_uid == runner.uid:
        return
    for folder, _, files in os.walk(data):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, runner.uid, runner.gid, follow_symlinks=False)
