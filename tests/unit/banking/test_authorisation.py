"""Who may do what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tellerline.banking.authorisation import NEEDED, Identity, Level, Refusal, Refused, Standing, admit
from tellerline.rpc import banking_pb2 as pb

TYPED = Identity("call", Level.IDENTIFIED, "10012345", "caller")
KNOWN = TYPED.authenticated("cus-1", "en")


def refusal(operation: str, standing: Standing | None) -> Refusal | None:
    """Why `operation` is refused, None where it is not."""
    try:
        admit(operation, standing)
    except Refused as refused:
        return refused.refusal
    return None


@pytest.mark.parametrize("operation", sorted(NEEDED))
def test_an_operation_needs_its_level(operation: str) -> None:
    """Nobody may do anything; a typed number may block cards; who was idle types their PIN again."""
    below = {"cards", "block_card"}
    typed = None if operation in below else Refusal.NOT_AUTHENTICATED
    idle = None if operation in below else Refusal.STALE
    assert refusal(operation, None) is Refusal.NOT_AUTHENTICATED
    assert refusal(operation, Standing(TYPED, fresh=True)) is typed
    assert refusal(operation, Standing(KNOWN, fresh=False)) is idle
    assert refusal(operation, Standing(KNOWN, fresh=True)) is None
    assert refusal(operation, Standing(replace(TYPED, level=Level.NOBODY), True)) is Refusal.NOT_AUTHENTICATED


def test_money_and_balances_are_never_below_the_pin() -> None:
    """The table itself, in case somebody edits it."""
    below = {operation for operation, level in NEEDED.items() if level < Level.AUTHENTICATED}
    assert below == {"cards", "block_card"}


def test_words_and_messages_have_the_same_names() -> None:
    """Levels and refusals go over the wire by name."""
    assert {refusal.value for refusal in Refusal} == set(pb.Refusal.keys()) - {"REFUSAL_NONE"}
    assert {level.name: level.value for level in Level} == dict(pb.AuthenticationReply.Level.items())
