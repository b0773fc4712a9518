"""A real lane behind the edge, on an address of its own: what tests call a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sip_lane import Lane


class EdgeLane(Lane):
    """A connector and its echo conversation, taking SIP at `host`."""

    def __init__(self, folder: Path, host: str, transfer_target: str | None = None, **sip: Any) -> None:
        self._host = host
        super().__init__(folder, transfer_target, bind_host=host, **sip)

    @property
    def address(self) -> tuple[str, int]:
        return self._host, self.port
