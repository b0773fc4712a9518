"""The steps of the session service, over its ports: what is stored, and what is told from where."""

from __future__ import annotations

from collections.abc import Sequence

from tellerline.errors import TruthAway, ViewsAway
from tellerline.rpc import session_pb2
from tellerline.session.model import Call
from tellerline.session.ports import Calls, Stored, Views
from tellerline.session.texts import redact_record


class Handlers:
    """Everything the service does when it is asked."""

    def __init__(self, calls: Calls, views: Views) -> None:
        self._calls = calls
        self._views = views

    async def append(self, records: Sequence[session_pb2.Record]) -> Stored:
        """Redacts and stores `records`. Raises TruthAway when nothing of them is stored."""
        for record in records:
            redact_record(record)
        return await self._calls.append(records)

    async def lease(self, lane: str, call_ids: Sequence[str], seconds: int) -> None:
        """Renews the lease of `lane`. Raises TruthAway."""
        await self._calls.lease(lane, [call_id for call_id in call_ids if _can_be(call_id)], seconds)

    async def call(self, call_id: str) -> Call | None:
        """The call from the truth, or as last shown where the truth is away. Raises TruthAway."""
        if not _can_be(call_id):
            return None
        try:
            found = await self._calls.find([call_id])
        except TruthAway as away:
            return await self._shown(call_id, away)
        return found[0] if found else None

    async def handed_over(self, reference: str) -> Call | None:
        """The call whose handover went out under `reference`. Raises TruthAway."""
        if not _can_be(reference):
            return None
        call_id = await self._calls.call_of(reference)
        return await self.call(call_id) if call_id is not None else None

    async def live(self) -> list[Call]:
        """The open calls as shown, or from the truth where the views are away. Raises TruthAway."""
        try:
            return await self._views.live()
        except ViewsAway:
            return await self._calls.find_open()

    async def keyless(self, host: str, files: Sequence[str]) -> tuple[list[str], list[str]]:
        """Those of a host's `files` whose key was destroyed, and those of no call. Raises TruthAway."""
        asked = [file for file in files if _can_be(file)] if _can_be(host) else []
        found = await self._calls.recordings(host, asked) if asked else {}
        destroyed = [file for file, has_key in found.items() if not has_key]
        return destroyed, [file for file in asked if file not in found]

    async def _shown(self, call_id: str, away: TruthAway) -> Call | None:
        try:
            return await self._views.find(call_id)
        except ViewsAway:
            raise away from None


def _can_be(name: str) -> bool:
    """Whether anything stored may be called so: PostgreSQL's text holds no NUL."""
    return "\x00" not in name
