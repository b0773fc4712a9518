"""Which sequence of the shared context serves which prompt: prefix reuse and eviction, as pure logic.

All sequences live in one unified key-value cache. A prompt goes on from the sequence that shares its
longest beginning: its own call's (the conversation so far), or a copy of another's (the shared system
prompt; copying within a unified cache only tags cells, it moves nothing).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Slot:
    """One sequence and the tokens whose keys and values it holds."""

    seq_id: int
    # A call id, or "prefix:<handle>"; "" when free.
    owner: str = ""
    tokens: list[int] = field(default_factory=list)
    busy: bool = False
    last_used: int = 0

    @property
    def is_prefix(self) -> bool:
        return self.owner.startswith("prefix:")


@dataclass(frozen=True)
class Plan:
    """Use `slot`; keep its first `keep` tokens, taken from `source` when that is another slot."""

    slot: Slot
    source: Slot | None
    keep: int


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return length


class Sequences:
    """The slots of one context."""

    def __init__(self, count: int) -> None:
        self.slots = [Slot(seq_id) for seq_id in range(count)]
        self._clock = itertools.count(1)

    def plan(self, owner: str, prompt: Sequence[int]) -> Plan | None:
        """Where `prompt` should be evaluated; None when every slot is busy.

        The last token is never kept: its logits are what the first new token is sampled from.
        """
        shared = {slot.seq_id: common_prefix(slot.tokens, prompt[:-1]) for slot in self.slots}
        best = max(self.slots, key=lambda slot: shared[slot.seq_id])
        longest = shared[best.seq_id]
        own = [slot for slot in self.slots if slot.owner == owner and not slot.busy]
        for slot in own:
            if shared[slot.seq_id] == longest:
                return Plan(slot, None, longest)
        room = self._room(own)
        if room is None:
            return None
        if room is best or longest == 0:
            return Plan(room, None, longest)
        return Plan(room, best, longest)

    def take(self, plan: Plan, owner: str, prompt: Sequence[int]) -> None:
        """Marks a planned slot as busy for `owner`, holding the kept tokens."""
        plan.slot.owner = owner
        plan.slot.tokens = list(prompt[: plan.keep])
        plan.slot.busy = True
        plan.slot.last_used = next(self._clock)

    def give_back(self, slot: Slot) -> None:
        """Ends a slot's work; what it holds stays for the next turn."""
        slot.busy = False
        slot.last_used = next(self._clock)

    def oldest_idle(self) -> Slot | None:
        """The slot to evict first: least recently used, calls before prefixes."""
        idle = [slot for slot in self.slots if slot.owner and not slot.busy]
        return min(idle, key=lambda slot: (slot.is_prefix, slot.last_used), default=None)

    def owned_by(self, owner: str) -> list[Slot]:
        """The slots of a call."""
        return [slot for slot in self.slots if slot.owner == owner]

    def _room(self, own: list[Slot]) -> Slot | None:
        free = next((slot for slot in self.slots if not slot.owner and not slot.busy), None)
        return free or next(iter(own), None) or self.oldest_idle()


def clear(slot: Slot) -> None:
    """Makes a slot free."""
    slot.owner, slot.tokens = "", []
