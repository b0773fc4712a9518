"""Token bytes become whole characters, and nothing of a stop string is passed on."""

import pytest

from tellerline.engine.llm.pieces import Pieces


def assembled(tokens: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], str]:
    pieces = Pieces(stop)
    return [pieces.add(token) for token in tokens], pieces.rest()


def test_a_character_split_over_tokens_comes_whole() -> None:
    assert assembled([b"caf\xc3", b"\xa9", b"!"]) == (["caf", "é", "!"], "")


def test_an_emoji_of_four_bytes_waits_for_its_last() -> None:
    assert assembled([b"\xf0", b"\x9f", b"\x98", b"\x80"]) == (["", "", "", "😀"], "")


def test_a_cut_character_is_left_out() -> None:
    assert assembled([b"ok\xc3"]) == (["ok"], "")


def test_text_before_a_stop_string_is_kept() -> None:
    pieces = Pieces(("\nUser:",))
    assert [pieces.add(token) for token in (b"Sure.", b"\n", b"User", b": hello")] == ["Sure.", "", "", ""]
    assert pieces.stopped


def test_what_only_began_like_a_stop_string_is_passed_on() -> None:
    given, rest = assembled([b"Sure.", b"\n", b"Then"], ("\nUser:",))
    assert (given, rest) == (["Sure.", "", "\nThen"], "")


def test_a_held_beginning_is_passed_on_at_the_end() -> None:
    assert assembled([b"Sure.\n"], ("\nUser:",)) == (["Sure."], "\n")


@pytest.mark.parametrize("cut", range(1, 9))
def test_the_earliest_stop_string_wins_however_the_tokens_are_cut(cut: int) -> None:
    pieces = Pieces(("END", "STOP"))
    text = b"a STOP b END"
    given = "".join(pieces.add(text[i : i + cut]) for i in range(0, len(text), cut) if not pieces.stopped)
    assert given == "a "
