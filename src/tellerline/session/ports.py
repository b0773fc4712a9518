"""What the handlers need of the write side and the read side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tellerline.rpc import session_pb2
from tellerline.session.model import Call


@dataclass(frozen=True)
class Stored:
    """What became of the records of one request."""

    stored: int
    known: int
    # (index in the request, why).
    set_aside: tuple[tuple[int, str], ...]


class Calls(Protocol):
    """The truth. Every method raises TruthAway when it cannot be asked."""

    async def append(self, records: Sequence[session_pb2.Record]) -> Stored:
        """Makes `records` durable, all or none but for those set aside."""

    async def lease(self, lane: str, call_ids: Sequence[str], seconds: int) -> None:
        """`lane` lives and carries `call_ids`."""

    async def find(self, call_ids: Sequence[str]) -> list[Call]:
        """Those of `call_ids` that exist."""

    async def find_open(self) -> list[Call]:
        """Every open call, oldest first."""

    async def call_of(self, reference: str) -> str | None:
        """The call handed over under `reference`."""

    async def recordings(self, host: str, files: Sequence[str]) -> dict[str, bool]:
        """Those of `files` of `host` that a call has; whether their key is still there."""


class Views(Protocol):
    """What can be rebuilt. Every method raises ViewsAway when it cannot be asked."""

    async def find(self, call_id: str) -> Call | None:
        """The call as last shown; None where it is not."""

    async def live(self) -> list[Call]:
        """Every open call, oldest first."""

    async def show(self, call: Call) -> None:
        """Shows `call`, unless a newer version of it is shown."""

    async def hide(self, call_id: str) -> None:
        """Forgets the call."""
