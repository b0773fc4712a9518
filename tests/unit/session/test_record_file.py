"""Files of records, torn anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tellerline.errors import SpoolError
from tellerline.record_file import RecordFile, left_behind, seen


def written(folder: Path, *records: bytes) -> Path:
    """A file as a process leaves it that was killed."""
    file = RecordFile.create(folder)
    for record in records:
        file.append(record)
    (path,) = folder.glob("*.records")
    os.close(file._descriptor)
    return path


def read(folder: Path) -> list[bytes]:
    found = []
    for file in left_behind(folder):
        found.extend(file.records())
        file.close()
    return found


def test_records_come_back_in_order(tmp_path: Path) -> None:
    written(tmp_path, b"first", b"", b"third")
    assert read(tmp_path) == [b"first", b"", b"third"]


def test_file_torn_at_any_byte_gives_what_is_whole(tmp_path: Path) -> None:
    whole = written(tmp_path, b"first", b"second").read_bytes()
    first = len(whole) - 8 - len(b"second")
    for length in range(len(whole)):
        (torn,) = tmp_path.glob("*.records")
        torn.write_bytes(whole[:length])
        expected = [] if length < first else [b"first"]
        files = left_behind(tmp_path)
        assert [record for file in files for record in file.records()] == expected
        for file in files:
            os.close(file._descriptor)


def test_changed_byte_ends_the_reading(tmp_path: Path) -> None:
    path = written(tmp_path, b"first", b"second", b"third")
    data = bytearray(path.read_bytes())
    data[data.index(b"second")] ^= 1
    path.write_bytes(data)
    assert read(tmp_path) == [b"first"]


def test_file_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    alive = RecordFile.create(tmp_path)
    alive.append(b"mine")
    assert left_behind(tmp_path) == []
    alive.close()
    assert read(tmp_path) == [b"mine"]


def test_emptied_file_goes_on(tmp_path: Path) -> None:
    file = RecordFile.create(tmp_path)
    file.append(b"stored")
    file.empty()
    file.append(b"new")
    assert list(file.records()) == [b"new"]
    file.close()


def test_record_that_does_not_fit_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RecordFile.create(tmp_path)
    file.append(b"before")
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:5]))
    with pytest.raises(SpoolError):
        file.append(b"does not fit")
    monkeypatch.setattr(os, "write", real)
    file.append(b"after")
    assert list(file.records()) == [b"before", b"after"]
    file.close()


def test_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = RecordFile.create(tmp_path / "spool")
    (path,) = (tmp_path / "spool").iterdir()
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    file.close()


def test_records_are_seen_while_their_file_is_written(tmp_path: Path) -> None:
    written(tmp_path, b"of a dead process")
    file = RecordFile.create(tmp_path)
    file.append(b"first")
    assert seen(tmp_path) == [b"of a dead process", b"first"]
    file.empty()
    assert seen(tmp_path) == [b"of a dead process"]
    file.close()
