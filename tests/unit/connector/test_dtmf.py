from __future__ import annotations

import pytest

from tellerline.connector.dtmf import DarkInput, DarkRequest, Destination, Keypad, Outcome, Typist, key
from tellerline.rpc import conversation_pb2 as pb


def test_numbers_of_the_telephone_event_registry() -> None:
    assert [key(text) for text in ("0", "9", "10", "15", "16", "")] == ["0", "9", "*", "D", None, None]


W, M, C, DONE, OUT = (
    Destination.WITHHELD,
    Destination.MENU,
    Destination.COLLECTED,
    Destination.COMPLETED,
    Destination.CANCELLED,
)


class Vault:
    """A sink that remembers what it was given, and the buffer itself."""

    def __init__(self) -> None:
        self.seen = b""
        self.buffer = bytearray()

    async def check(self, typist: Typist, purpose: str, digits: bytearray) -> pb.DarkInputResult.Outcome:
        self.seen, self.buffer = bytes(digits), digits
        return Outcome.ACCEPTED


def _dark(min_digits: int = 4, max_digits: int = 4) -> DarkInput:
    return DarkInput(DarkRequest(1, "pin", min_digits, max_digits, 5000))


@pytest.mark.parametrize(
    ("keys", "collected"), [("1234", b"1234"), ("12*5678", b"5678"), ("1#234", b"1234"), ("1A2B34", b"1234")]
)
async def test_collected_digits_go_to_the_sink_and_are_zeroed(keys: str, collected: bytes) -> None:
    dark, vault = _dark(), Vault()
    assert [dark.press(pressed) for pressed in keys] == [C] * (len(keys) - 1) + [DONE]
    assert await dark.submit(Typist("call", "+4930"), vault) == Outcome.ACCEPTED
    assert vault.seen == collected
    assert vault.buffer == bytes(4)
    assert dark._digits == bytes(4)


async def test_hash_ends_what_is_long_enough() -> None:
    dark, vault = _dark(min_digits=2, max_digits=8), Vault()
    assert [dark.press(pressed) for pressed in "12#"] == [C, C, DONE]
    await dark.submit(Typist("call", "+4930"), vault)
    assert vault.seen == b"12"


def test_a_request_without_a_limit_has_one() -> None:
    dark = _dark(min_digits=0, max_digits=0)
    assert [dark.press("1") for _ in range(DarkInput.LIMIT_DIGITS)].index(DONE) == DarkInput.LIMIT_DIGITS - 1


@pytest.mark.parametrize("min_digits", [0, 4])
@pytest.mark.parametrize("keys", ["#", "**", "12**", "12*#", "A#"])
def test_hash_alone_and_two_stars_are_the_way_out(min_digits: int, keys: str) -> None:
    dark = _dark(min_digits=min_digits, max_digits=8)
    assert [dark.press(pressed) for pressed in keys] == [C] * (len(keys) - 1) + [OUT]


@pytest.mark.parametrize("keys", ["1#", "*1*", "0", "12#"])
def test_what_begins_like_it_is_not(keys: str) -> None:
    dark = _dark(min_digits=4, max_digits=8)
    assert [dark.press(pressed) for pressed in keys] == [C] * len(keys)


_PIN = DarkRequest(1, "pin", 4, 4, 5000)


@pytest.fixture
def keypad() -> Keypad:
    return Keypad()


def _type(keypad: Keypad, keys: str) -> list[Destination]:
    return [keypad.press(pressed) for pressed in keys]


async def _collected(keypad: Keypad) -> bytes:
    vault, dark = Vault(), keypad.end()
    assert dark is not None
    await dark.submit(Typist("call", ""), vault)
    return vault.seen


def test_keys_are_withheld_until_they_are_asked_for(keypad: Keypad) -> None:
    assert _type(keypad, "12") == [W, W]
    keypad.open_menu()
    assert _type(keypad, "3") == [M]


async def test_what_is_typed_ahead_counts_towards_dark_input(keypad: Keypad) -> None:
    _type(keypad, "12")
    assert not keypad.begin(_PIN)
    assert _type(keypad, "34") == [C, DONE]
    assert await _collected(keypad) == b"1234"


async def test_all_typed_ahead_completes_at_once_and_the_rest_is_the_next_inputs(keypad: Keypad) -> None:
    _type(keypad, "99887766#1234")
    assert keypad.begin(DarkRequest(1, "customer_number", 6, 12, 5000))
    assert await _collected(keypad) == b"99887766"
    assert keypad.begin(_PIN)
    assert await _collected(keypad) == b"1234"


async def test_what_is_typed_ahead_of_a_menu_is_seen_by_nobody(keypad: Keypad) -> None:
    _type(keypad, "12")
    keypad.open_menu()
    assert bytes(keypad._ahead) == bytes(Keypad.LIMIT_AHEAD)
    assert not keypad.begin(_PIN)
    _type(keypad, "567")
    assert _type(keypad, "8") == [DONE]
    assert await _collected(keypad) == b"5678"


async def test_after_dark_input_keys_are_withheld_again(keypad: Keypad) -> None:
    keypad.open_menu()
    keypad.begin(_PIN)
    _type(keypad, "1234")
    await _collected(keypad)
    assert _type(keypad, "5") == [W]


def test_a_pipelines_death_closes_its_menu_and_not_its_dark_input(keypad: Keypad) -> None:
    keypad.open_menu()
    keypad.close_menu()
    assert _type(keypad, "5") == [W]
    keypad.begin(_PIN)
    keypad.close_menu()
    assert _type(keypad, "6") == [C]


def test_a_wiped_keypad_holds_nothing(keypad: Keypad) -> None:
    _type(keypad, "12345")
    keypad.begin(DarkRequest(1, "pin", 4, 8, 5000))
    dark = keypad.dark
    assert dark is not None and bytes(dark._digits) == b"12345".ljust(8, b"\0")
    keypad.wipe()
    assert bytes(dark._digits) == bytes(8)
    _type(keypad, "1" * 40)
    assert bytes(keypad._ahead) == b"1" * Keypad.LIMIT_AHEAD
    keypad.wipe()
    assert bytes(keypad._ahead) == bytes(Keypad.LIMIT_AHEAD)


@pytest.mark.parametrize("ahead", ["#", "**", "#*"])
async def test_nobody_declines_a_question_that_was_not_asked(keypad: Keypad, ahead: str) -> None:
    _type(keypad, ahead)
    assert not keypad.begin(_PIN)
    assert _type(keypad, "1234")[-1] is DONE
    assert await _collected(keypad) == b"1234"


@pytest.mark.parametrize("asked_first", [True, False])
async def test_the_hash_behind_a_full_input_is_no_way_out_of_the_next(
    keypad: Keypad, asked_first: bool
) -> None:
    keypad.begin(_PIN)
    assert _type(keypad, "1234")[-1] is DONE
    assert await _collected(keypad) == b"1234"
    if asked_first:
        keypad.begin(_PIN)
        assert keypad.press("#") is W
    else:
        assert keypad.press("#") is W
        keypad.begin(_PIN)
    assert keypad.press("#") is OUT


async def test_behind_an_input_that_a_hash_ended_the_next_one_is_the_way_out(keypad: Keypad) -> None:
    keypad.begin(DarkRequest(1, "customer_number", 4, 12, 5000))
    assert _type(keypad, "10012345#")[-1] is DONE
    await _collected(keypad)
    keypad.begin(_PIN)
    assert keypad.press("#") is OUT


async def test_only_the_next_key_is_forgiven(keypad: Keypad) -> None:
    keypad.begin(_PIN)
    _type(keypad, "1234")
    await _collected(keypad)
    keypad.begin(_PIN)
    assert _type(keypad, "5*#") == [C, C, OUT]
