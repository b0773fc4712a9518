"""Audit keys, pseudonyms and the shape of entries; the chain itself is tested in PostgreSQL."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tellerline import audit, audit_heads
from tellerline.errors import AuditError

_OLD, _NEW = bytes(range(32)), bytes(range(32, 64))


def key_file(folder: Path, *keys: bytes) -> Path:
    path = folder / "audit.key"
    path.write_bytes(b"\n".join(base64.b64encode(key) for key in keys) + b"\n")
    return path


def test_the_newest_key_signs_and_every_key_verifies(tmp_path: Path) -> None:
    old = audit.read_key(key_file(tmp_path, _OLD))
    both = audit.read_key(key_file(tmp_path, _OLD, _NEW))
    assert both.current_id != old.current_id
    assert both.entry_mac(old.current_id, ("x", 1)) == old.entry_mac(old.current_id, ("x", 1))
    assert old.entry_mac(both.current_id, ("x", 1)) is None


def test_pseudonyms_outlive_a_new_key_and_tell_kinds_apart(tmp_path: Path) -> None:
    old = audit.read_key(key_file(tmp_path, _OLD))
    both = audit.read_key(key_file(tmp_path, _OLD, _NEW))
    assert both.pseudonym("4711") == old.pseudonym("4711")
    assert old.pseudonym("4711") != audit.AuditKey((_NEW,)).pseudonym("4711")
    assert old.pseudonym("4711", "caller").startswith("caller:")
    assert old.pseudonym("4711", "caller").partition(":")[2] != old.pseudonym("4711").partition(":")[2]
    assert "4711" not in old.pseudonym("4711")


def test_a_mac_of_an_entry_is_none_of_a_head(tmp_path: Path) -> None:
    key = audit.AuditKey((_OLD,))
    assert key.entry_mac(key.current_id, ("x",)) != key.head_mac(key.current_id, ("x",))


def test_the_key_shows_nowhere() -> None:
    key = audit.AuditKey((_OLD,))
    assert _OLD.hex()[:8] not in repr(key)
    assert base64.b64encode(_OLD).decode()[:8] not in repr(key)


@pytest.mark.parametrize(
    "content", [b"", b"short", b"not base64 !", base64.b64encode(b"x" * 31), b"\xff\xfe"]
)
def test_a_key_file_that_is_wrong_is_refused_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audit.key"
    path.write_bytes(content)
    with pytest.raises(AuditError, match="openssl rand -base64 32"):
        audit.read_key(path)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"nowhere\.key"):
        audit.read_key(tmp_path / "nowhere.key")


def test_heads_are_kept_in_order_once_each(tmp_path: Path) -> None:
    key = audit.AuditKey((_OLD,))
    heads = audit_heads.Heads(tmp_path / "heads", key, "session")
    for position in (1, 3, 3, 2, 4):
        heads.keep(audit.Head(position, bytes(32)))
    assert [(kept.position, kept.genuine) for kept in audit_heads.read(tmp_path / "heads", key)] == [
        (1, True),
        (3, True),
        (4, True),
    ]
    (file,) = (tmp_path / "heads").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_line_torn_by_a_power_cut_costs_itself_alone(tmp_path: Path) -> None:
    key = audit.AuditKey((_OLD,))
    audit_heads.Heads(tmp_path, key, "session").keep(audit.Head(1, bytes(32)))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-40])
    audit_heads.Heads(tmp_path, key, "session").keep(audit.Head(2, bytes(32)))
    assert [(kept.position, kept.genuine) for kept in audit_heads.read(tmp_path, key)] == [
        (0, False),
        (2, True),
    ]


def test_a_head_of_another_site_is_not_genuine(tmp_path: Path) -> None:
    audit_heads.Heads(tmp_path, audit.AuditKey((_NEW,)), "session").keep(audit.Head(1, bytes(32)))
    assert [kept.genuine for kept in audit_heads.read(tmp_path, audit.AuditKey((_OLD,)))] == [False]
