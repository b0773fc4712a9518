"""`tellerline-edge`: how it asks OpenSIPS, which sees a /tmp of its own."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

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


def _settings(folder: Path) -> dict[str, Any]:
    (folder / "tables").mkdir()
    return {
        "socket": str(folder / "mi.sock"),
        "state": str(folder),
        "folder": str(folder),
        "user": "nobody",
        "tls": False,
        "leave": str(folder / "run" / "leave"),
    }


def test_opensips_answers_beside_its_own_socket(command: ModuleType, tmp_path: Path) -> None:
    """An answer into /tmp would go into OpenSIPS' own (PrivateTmp=yes), where nobody waits for it."""
    settings = _settings(tmp_path)
    command.prepare(settings)
    opensips = OpenSips(tmp_path / "mi.sock")
    assert command.ask(settings["socket"], "uptime") == "OK"
    opensips.close()
    assert opensips.replied_to.is_relative_to(tmp_path / command.REPLIES)
    # Nothing is left there.
    assert list((tmp_path / command.REPLIES).iterdir()) == []
    assert (tmp_path / command.REPLIES).stat().st_mode & 0o7777 == 0o1777


def test_tables_written_after_the_start_are_unread_until_all_of_them_are_taken_up(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(tmp_path)
    lanes = tmp_path / "tables" / "load_balancer"
    lanes.write_text("one lane")
    command.prepare(settings)
    assert command.unread(settings) == [], "nothing runs that could have read it"
    (tmp_path / "mi.sock").touch()
    assert command.unread(settings) == []
    lanes.write_text("two lanes")
    assert command.unread(settings) == ["tables"]

    asked: list[str] = []

    def refuses(path: str, method: str, params: Any = ()) -> None:
        asked.append(method)
        if method == "address_reload":
            raise command.EdgeError("no")

    monkeypatch.setattr(command, "ask", refuses)
    with pytest.raises(command.EdgeError):
        command.read_tables(settings)
    assert command.unread(settings) == ["tables"]
    monkeypatch.setattr(command, "ask", lambda path, method, params=(): asked.append(method))
    assert command.read_tables(settings) == ["tables"]
    assert asked[-3:] == ["dbt_reload", "lb_reload", "address_reload"]
    assert command.unread(settings) == [] == command.read_tables(settings)


def test_without_a_trunk_over_tls_no_key_is_copied_and_nothing_is_reloaded(
    command: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A renewed certificate reloads the unit all the same: that must not fail."""
    command.renew_certificates(_settings(tmp_path))
    assert capsys.readouterr().out == "unchanged\n"
    assert not (tmp_path / "tls").exists()
