from __future__ import annotations

import pytest

from tellerline.connector.dtmf import DarkInput, DarkRequest, NoBanking, Outcome, key
from tellerline.rpc import conversation_pb2 as pb


def test_numbers_of_the_telephone_event_registry() -> None:
    assert [key(text) for text in ("0", "9", "10", "15", "16", "")] == ["0", "9", "*", "D", None, None]


class Vault:
    """A sink that remembers what it was given, and the buffer itself."""

    def __init__(self) -> None:
        self.seen = b""
        self.buffer = bytearray()

    async def check(self, call_id: str, purpose: str, digits: bytearray) -> pb.DarkInputResult.Outcome:
        self.seen, self.buffer = bytes(digits), digits
        return Outcome.ACCEPTED


def _dark(min_digits: int = 4, max_digits: int = 4) -> DarkInput:
    return DarkInput(DarkRequest(1, "pin", min_digits, max_digits, 5000))


@pytest.mark.parametrize(
    ("keys", "collected"), [("1234", b"1234"), ("12*5678", b"5678"), ("1#234", b"1234"), ("1A2B34", b"1234")]
)
async def test_collected_digits_go_to_the_sink_and_are_zeroed(keys: str, collected: bytes) -> None:
    dark, vault = _dark(), Vault()
    assert [dark.press(pressed) for pressed in keys] == [False] * (len(keys) - 1) + [True]
    assert await dark.submit("call", vault) == Outcome.ACCEPTED
    assert vault.seen == collected
    assert vault.buffer == bytes(4)
    assert dark._digits == bytes(4)


async def test_hash_ends_what_is_long_enough() -> None:
    dark, vault = _dark(min_digits=2, max_digits=8), Vault()
    assert [dark.press(pressed) for pressed in "12#"] == [False, False, True]
    await dark.submit("call", vault)
    assert vault.seen == b"12"


def test_a_request_without_a_limit_has_one() -> None:
    dark = _dark(min_digits=0, max_digits=0)
    assert sum(dark.press("1") for _ in range(DarkInput.LIMIT_DIGITS)) == 1


async def test_without_banking_it_is_unavailable() -> None:
    dark = _dark(max_digits=1)
    dark.press("9")
    assert await dark.submit("call", NoBanking()) == Outcome.UNAVAILABLE
