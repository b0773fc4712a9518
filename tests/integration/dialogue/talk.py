"""A caller who writes instead of speaking: drives a Teller against real banking, and keeps what was said."""

from __future__ import annotations

import time
from datetime import date
from typing import Any

import grpc

from tellerline.instances import Instances
from tellerline.pipeline.bank import Asked, CallsBank
from tellerline.pipeline.flows.desk import Site
from tellerline.pipeline.flows.events import Begin, Event, Key, Said, Silence, TransferEnded, Typed, Unheard
from tellerline.pipeline.flows.plan import Action, Dark, Plan
from tellerline.pipeline.flows.state import State
from tellerline.pipeline.flows.teller import Teller
from tellerline.pipeline.understanding import Understanding
from tellerline.rpc import banking_pb2 as pb

SECONDS = 10.0
_OUTCOMES = {pb.SecretReply.ACCEPTED: "accepted", pb.SecretReply.REJECTED: "rejected"}


class Talk:
    """One call. Each verb returns what the bot said to it, joined; the caller hears all of it."""

    def __init__(
        self,
        call_id: str,
        banking: Instances,
        secrets: Instances,
        understanding: Understanding,
        *,
        language: str = "en",
        site: Site | None = None,
        state: State | None = None,
        keypad: bool = True,
        caller: str = "447700900123",
    ) -> None:
        self.call_id = call_id
        self._banking = banking
        self._secrets = secrets
        self._understanding = understanding
        self._caller = caller
        self.asked: list[Asked] = []
        self.actions: list[Action] = []
        self.plans: list[Plan] = []
        self.site = site or Site(targets=("sip:colleague@127.0.0.1",), keeps=True, languages=("en", "tr"))
        self.teller = Teller(
            state or State(language=language),
            self.site,
            CallsBank(banking, call_id, lambda: len(self.plans), self.asked.append),
            understanding,
            keypad=keypad,
            today=date.today,
        )

    async def happens(self, event: Event, *, heard: bool = True, speculative: bool = False) -> str:
        """Considers `event` (twice where `speculative`: once for nothing) and commits what comes of it."""
        if speculative:
            before = self.teller.state
            await self.teller.consider(event, speculative=True)
            assert self.teller.state == before
        said: list[str] = []
        plan: Plan | None = await self.teller.consider(event)
        while plan is not None:
            self.plans.append(plan)
            self.actions += [*plan.before, *plan.after]
            said += plan.lines
            further = await self.teller.commit(plan)
            if plan.lines and heard:
                self.teller.played(" ".join(plan.lines), False)
            plan = further
        return " ".join(said)

    def continues(self, other: Talk) -> None:
        """Becomes the same call in another pipeline."""
        self.call_id = other.call_id
        bank = CallsBank(self._banking, self.call_id, lambda: len(self.plans), self.asked.append)
        self.teller = Teller(self.teller.state, self.site, bank, self._understanding)

    async def begins(self) -> str:
        return await self.happens(Begin())

    async def says(self, text: str, logprob: float = -0.2, **how: Any) -> str:
        return await self.happens(Said(text, logprob), **how)

    async def presses(self, keys: str, **how: Any) -> str:
        return " ".join([await self.happens(Key(key), **how) for key in keys]).strip()

    async def is_unheard(self, failed: bool = False) -> str:
        return await self.happens(Unheard(failed))

    async def is_silent(self, last: bool = False) -> str:
        return await self.happens(Silence(last))

    async def transfer_ends(self, accepted: bool) -> str:
        return await self.happens(TransferEnded(accepted))

    async def types(self, digits: str) -> str:
        """Types into the dark input under way, as a connector would hand it to banking."""
        dark = self.dark
        request = pb.SecretRequest(
            call_id=self.call_id, purpose=dark.purpose, digits=digits.encode(), caller=self._caller
        )
        reply = await self._submit(request)
        outcome: Any = _OUTCOMES.get(reply.outcome, "unavailable")
        return await self.happens(Typed(dark.dark_id, outcome))

    async def logs_in(self, number: str, pin: str) -> str:
        await self.types(number)
        return await self.types(pin)

    async def _submit(self, request: pb.SecretRequest) -> pb.SecretReply:
        while True:
            try:
                reply: pb.SecretReply = await self._secrets.call("Submit", request, SECONDS)
            except grpc.aio.AioRpcError as error:
                # A connection that took longer than 100 ms to make; nothing was asked yet.
                assert error.code() is grpc.StatusCode.UNAVAILABLE and "connect" in str(error.details())
            else:
                return reply

    @property
    def dark(self) -> Dark:
        """The dark input that was asked for last; fails the test when none is under way."""
        requests = [action for action in self.actions if isinstance(action, Dark)]
        assert requests and requests[-1].dark_id == self.teller.state.dark_id, "no dark input under way"
        return requests[-1]

    def did(self, kind: type[Any]) -> list[Any]:
        """The actions of one kind."""
        return [action for action in self.actions if isinstance(action, kind)]

    def tools(self) -> list[str]:
        """The bank's operations that were asked for."""
        return [asked.tool for asked in self.asked]


def call_id() -> str:
    """Another one each time."""
    return f"dialogue-{time.monotonic_ns():x}"
