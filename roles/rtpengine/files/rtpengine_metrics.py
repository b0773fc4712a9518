#!/usr/bin/python3
"""Passes rtpengine's metrics on, and nothing else of it.

rtpengine has one HTTP port for everything: whoever may read /metrics there may, by WebSocket or POST,
without a password, have calls ended, recorded, or sent to a second listener. That port is on 127.0.0.1, and
Prometheus asks here: `tellerline-rtpengine-metrics ADDRESS PORT URL`.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MOST = 4 << 20


class Handler(BaseHTTPRequestHandler):
    """GET /metrics; anything else is not found."""

    url = ""
    server_version = "Tellerline"
    sys_version = ""
    # Of whoever opens a connection and says nothing.
    timeout = 10

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        try:
            with urllib.request.urlopen(self.url, timeout=5) as reply:
                text = reply.read(MOST)
        except (urllib.error.URLError, OSError):
            self.send_error(502, "rtpengine does not answer")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """One line a scrape would be all the journal says."""


def main() -> None:
    """Entry point."""
    address, port, Handler.url = sys.argv[1:]
    ThreadingHTTPServer((address, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
