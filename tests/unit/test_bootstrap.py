"""What every daemon's server has in common."""

import stat
import subprocess
import sys
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


def test_a_daemon_writes_no_core_dumps() -> None:
    code = (
        "import asyncio, resource\n"
        "from tellerline import bootstrap\n"
        "from tellerline.settings import Monitoring\n"
        "async def main(): print(resource.getrlimit(resource.RLIMIT_CORE))\n"
        "bootstrap.run('daemon', Monitoring(log_level='error'), main)\n"
    )
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert started.stdout.strip() == "(0, 0)", started.stderr
