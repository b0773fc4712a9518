"""Valkey's users and command."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from tellerline.embedded.passwords import Passwords, write_private
from tellerline.embedded.server import Server

# Tests may have one each of them.
_DATABASES = 4096


def prepared(
    folder: Path, binary: Path, socket: Path, passwords: Passwords, daemons: Sequence[str]
) -> Server:
    """The server on `socket`: each daemon has keys of its own, "admin" may do anything."""
    rules = ["user default off"]
    rules += [
        f"user {daemon} on >{passwords.read(f'valkey-{daemon}')} ~{daemon}:* &{daemon}:* "
        "+@all -@admin -@dangerous +info"
        for daemon in daemons
    ]
    rules.append(f"user admin on >{passwords.read('valkey-admin')} ~* &* +@all")
    acl = folder / "valkey.acl"
    write_private(acl, "\n".join(rules) + "\n")
    command = (
        "setpriv",
        "--pdeathsig",
        "TERM",
        str(binary),
        *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
        # Only what can be rebuilt: nothing goes to disk.
        *("--save", "", "--appendonly", "no", "--dir", str(folder), "--aclfile", str(acl)),
        *("--databases", str(_DATABASES), "--maxmemory", "256mb"),
    )
    return Server("valkey", command, folder / "valkey.log", signal.SIGTERM)
