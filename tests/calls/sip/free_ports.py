"""Ports for programs that a test starts and tells where to listen."""

from __future__ import annotations

import random
import socket

from tellerline.ports import is_free

# Below what the kernel gives to sockets that ask for none (ip_local_port_range, 32768-60999): between this
# look and the program's bind(2), a connection anywhere on this machine could take one of those.
_RANGE = range(22000, 28000)
_given: set[int] = set()


def free_port(host: str = "127.0.0.1", *, even: bool = False) -> int:
    """A port nobody had bound on `host` a moment ago, for UDP or TCP; another each time."""
    for port in random.sample(_RANGE, len(_RANGE)):
        if port in _given or (even and port % 2):
            continue
        if is_free(host, port, socket.SOCK_DGRAM, socket.SOCK_STREAM):
            _given.add(port)
            return port
    raise AssertionError(f"no free port on {host} in {_RANGE.start}-{_RANGE.stop - 1}")
