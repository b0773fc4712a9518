"""What is sealed can be read and made by holders of the key alone."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellerline import audit
from tellerline.banking.sealing import SealBroken, Sealing, read_sealing
from tellerline.errors import AuditError

OLD, NEW = bytes(32), bytes(range(32))


def sealing(*keys: bytes) -> Sealing:
    """Sealing under `keys`, oldest first."""
    return Sealing(keys, audit.AuditKey(keys))


@given(value=st.binary(max_size=200), context=st.text(max_size=40), place=st.integers(min_value=0))
def test_a_changed_or_moved_value_is_not_read(value: bytes, context: str, place: int) -> None:
    """One bit anywhere, another context, another key."""
    box = sealing(NEW)
    sealed = box.seal(value, context)
    assert box.open(sealed, context) == value
    changed = bytearray(sealed)
    changed[place % len(sealed)] ^= 1
    for other, where in (
        (bytes(changed), context),
        (sealed, context + "x"),
        (sealed[:-1], context),
        (b"", ""),
    ):
        with pytest.raises(SealBroken):
            box.open(other, where)
    with pytest.raises(SealBroken):
        sealing(OLD).open(sealed, context)


def test_a_new_key_makes_and_the_old_one_still_reads() -> None:
    """A rotation logs nobody out and refuses no quote."""
    before, after = sealing(OLD), sealing(OLD, NEW)
    assert after.open(before.seal(b"x", "c"), "c") == b"x"
    assert after.good_token(before.token("a"), "a")
    with pytest.raises(SealBroken):
        before.open(after.seal(b"x", "c"), "c")
    assert before.pseudonym("customer", "1") == after.pseudonym("customer", "1")


@given(
    fields=st.lists(st.text(max_size=8), min_size=1, max_size=4),
    others=st.lists(st.text(max_size=8), max_size=4),
)
def test_a_token_is_bound_to_every_field_and_its_place(fields: list[str], others: list[str]) -> None:
    """No two lists of fields share a token, however they are cut."""
    box = sealing(NEW)
    assert box.good_token(box.token(*fields), *fields)
    assert box.good_token(box.token(*fields), *others) == (fields == others)
    joined = ["".join(fields), ""]
    assert box.good_token(box.token(*fields), *joined) == (fields == joined)
    assert not box.good_token(b"", *fields)


def test_a_wrong_key_file_says_what_would_be_right(tmp_path: Path) -> None:
    """Missing, not base64, too short."""
    path = tmp_path / "key"
    with pytest.raises(AuditError, match="cannot be read"):
        read_sealing(path)
    for text in (b"?", base64.b64encode(b"short")):
        path.write_bytes(text)
        with pytest.raises(AuditError):
            read_sealing(path)
    path.write_bytes(base64.b64encode(OLD) + b"\n" + base64.b64encode(NEW) + b"\n")
    assert read_sealing(path).good_token(sealing(OLD, NEW).token("a"), "a")
