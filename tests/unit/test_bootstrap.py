"""What every daemon's server has in common."""

import stat
from pathlib import Path

from tellerline import bootstrap


async def test_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    socket = tmp_path / "run" / "daemon.sock"
    server, _ = bootstrap.server(socket)
    await server.start()
    try:
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    finally:
        await server.stop(None)


async def test_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    socket = tmp_path / "daemon.sock"
    socket.write_text("left by a crash")
    server, _ = bootstrap.server(socket)
    await server.start()
    try:
        assert stat.S_ISSOCK(socket.stat().st_mode)
    finally:
        await server.stop(None)
