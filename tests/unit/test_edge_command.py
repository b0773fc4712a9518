"""`tellerline-edge`: how it asks OpenSIPS, which sees a /tmp of its own."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
from pathlib import Path
from types import ModuleType

import pytest

_COMMAND = Path(__file__).resolve().parents[2] / "roles" / "opensips" / "files" / "tellerline_edge.py"


@pytest.fixture(scope="module")
def command() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tellerline_edge_command", _COMMAND)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class OpenSips:
    """Answers one question, and keeps where the answer went."""

    def __init__(self, path: Path) -> None:
        self.replied_to = Path()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(20)
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        asked, where = self._socket.recvfrom(4096)
        self.replied_to = Path(where)
        self._socket.sendto(json.dumps({"id": json.loads(asked)["id"], "result": "OK"}).encode(), where)

    def close(self) -> None:
        self._thread.join()
        self._socket.close()


def test_opensips_answers_beside_its_own_socket(command: ModuleType, tmp_path: Path) -> None:
    """An answer into /tmp would go into OpenSIPS' own (PrivateTmp=yes), where nobody waits for it."""
    settings = {"socket": str(tmp_path / "mi.sock"), "state": str(tmp_path), "user": "nobody", "tls": False}
    command.prepare(settings)
    opensips = OpenSips(tmp_path / "mi.sock")
    assert command.ask(settings["socket"], "uptime") == "OK"
    opensips.close()
    assert opensips.replied_to.is_relative_to(tmp_path / command.REPLIES)
    # Nothing is left there.
    assert list((tmp_path / command.REPLIES).iterdir()) == []
    assert (tmp_path / command.REPLIES).stat().st_mode & 0o7777 == 0o1777
