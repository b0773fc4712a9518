"""Free ports of this machine."""

from __future__ import annotations

import socket
from collections.abc import Collection

from tellerline.errors import StackError


def free_sip_port(host: str, first: int, taken: Collection[int] = ()) -> int:
    """The first port from `first` on that is free for UDP and TCP on `host`, and not in `taken`."""
    for port in range(first, first + 100):
        if port not in taken and is_free(host, port, socket.SOCK_DGRAM, socket.SOCK_STREAM):
            return port
    raise StackError(f"no free SIP port on {host} in {first}-{first + 99}; choose another with --sip-port")


def is_free(host: str, port: int, *kinds: socket.SocketKind) -> bool:
    """Whether nobody has bound `port` on `host`, for datagrams, streams or both."""
    for kind in kinds:
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # As the SIP stack does: connections of a port's last life may linger (TIME_WAIT).
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True
