"""Downloads go on where they were interrupted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tellerline.bundle.download import fetch
from tellerline.errors import BundleError

CONTENT = bytes(range(256)) * 40


@dataclass
class Mirror:
    """A server of one file that hangs up after so many bytes, and notes what it was asked for."""

    url: str = ""
    hangs_up_after: int | None = None
    understands_ranges: bool = True
    status: int | None = None
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    told = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            told.asked.append(wanted)
            begin = (
                int(wanted.removeprefix("bytes=").removesuffix("-"))
                if wanted and told.understands_ranges
                else 0
            )
            if told.status is not None:
                return self.send_error(told.status)
            if begin >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                return self.end_headers()
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(CONTENT) - begin))
            self.end_headers()
            self.wfile.write(CONTENT[begin : begin + (told.hangs_up_after or len(CONTENT))])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/model.bin"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


def _fetch(mirror: Mirror, target: Path) -> None:
    fetch(mirror.url, target, lambda line: None, pause_seconds=0)


def test_an_interrupted_download_asks_for_the_rest(mirror: Mirror, tmp_path: Path) -> None:
    mirror.hangs_up_after = 4000
    _fetch(mirror, tmp_path / "model.bin")
    assert (tmp_path / "model.bin").read_bytes() == CONTENT
    assert mirror.asked == [None, "bytes=4000-", "bytes=8000-"]


def test_a_later_run_goes_on_too(mirror: Mirror, tmp_path: Path) -> None:
    mirror.hangs_up_after = 1000
    with pytest.raises(BundleError, match="run again to go on"):
        _fetch(mirror, tmp_path / "model.bin")
    assert not (tmp_path / "model.bin").exists()
    mirror.hangs_up_after = None
    _fetch(mirror, tmp_path / "model.bin")
    assert (tmp_path / "model.bin").read_bytes() == CONTENT
    assert mirror.asked[-1] == "bytes=5000-"


def test_what_is_there_is_not_asked_for(mirror: Mirror, tmp_path: Path) -> None:
    _fetch(mirror, tmp_path / "model.bin")
    _fetch(mirror, tmp_path / "model.bin")
    assert mirror.asked == [None]


def test_what_had_arrived_whole_is_taken(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "model.bin.part").write_bytes(CONTENT)
    _fetch(mirror, tmp_path / "model.bin")
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_the_rest_of_another_file_is_thrown_away(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "model.bin.part").write_bytes(CONTENT + b"longer than the mirror's")
    _fetch(mirror, tmp_path / "model.bin")
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_a_mirror_without_ranges_begins_anew(mirror: Mirror, tmp_path: Path) -> None:
    mirror.understands_ranges = False
    (tmp_path / "model.bin.part").write_bytes(b"half of it")
    _fetch(mirror, tmp_path / "model.bin")
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_a_file_that_is_not_there_is_said_at_once(mirror: Mirror, tmp_path: Path) -> None:
    mirror.status = 404
    with pytest.raises(BundleError, match="404"):
        _fetch(mirror, tmp_path / "model.bin")
    assert len(mirror.asked) == 1


def test_a_mirror_in_trouble_is_asked_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.status = 503
    with pytest.raises(BundleError, match="503"):
        _fetch(mirror, tmp_path / "model.bin")
    assert len(mirror.asked) == 5
