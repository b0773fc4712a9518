from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tellerline.connector.spool import CallRecord, Recorded, Spool, now
from tellerline.errors import SpoolError


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    assert spool.prepare() == 0
    return spool


@pytest.fixture
def record() -> CallRecord:
    return CallRecord("c0ffee", "abc@edge", "cpu-0", "+4930", "echo", opened_at=now())


def _on_disk(folder: Path) -> dict[str, dict[str, object]]:
    return {path.name: json.loads(path.read_text()) for path in (folder / "spool").iterdir()}


def test_a_record_is_opened_and_closed_in_one_file(spool: Spool, record: CallRecord, tmp_path: Path) -> None:
    spool.write(record)
    assert _on_disk(tmp_path)["c0ffee.json"]["state"] == "open"
    spool.write(replace(record, state="closed", reason="caller", talk_seconds=2.5))
    [(name, data)] = _on_disk(tmp_path).items()
    assert (name, data["state"], data["reason"], data["talk_seconds"]) == (
        "c0ffee.json",
        "closed",
        "caller",
        2.5,
    )
    assert spool.waiting() == 1


def test_a_crash_leaves_an_orphan(spool: Spool, record: CallRecord, tmp_path: Path) -> None:
    spool.write(record)
    spool.write(replace(record, call_id="done", state="closed", reason="goodbye"))
    (tmp_path / "spool" / ".c0ffee.part").write_text('{"state": "cl')
    (tmp_path / "spool" / "damaged.json").write_text("{")
    assert Spool(tmp_path / "spool").prepare() == 1
    (tmp_path / "spool" / "damaged.json").unlink()
    records = _on_disk(tmp_path)
    assert records.keys() == {"c0ffee.json", "done.json"}
    assert (records["c0ffee.json"]["state"], records["c0ffee.json"]["reason"]) == ("orphaned", "lost")
    assert records["c0ffee.json"]["closed_at"] is not None
    assert records["done.json"]["reason"] == "goodbye"
    assert Spool(tmp_path / "spool").prepare() == 0


def test_an_orphan_is_mended_by_who_knows_more(spool: Spool, record: CallRecord, tmp_path: Path) -> None:
    about = Recorded("c0ffee.tlrec", "gpu1", "a2V5", "1", started_at=now())
    spool.write(replace(record, recording=about))

    def mend(found: CallRecord) -> CallRecord:
        assert (found.state, found.recording) == ("orphaned", about)
        return replace(found, recording=replace(about, ended_at=now(), seconds=2.0))

    assert Spool(tmp_path / "spool").prepare(mend) == 1
    [orphan] = spool.records()
    assert orphan.recording is not None and orphan.recording.seconds == 2.0


def test_what_changed_comes_oldest_first_and_what_is_known_does_not_come_again(
    spool: Spool, record: CallRecord, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        spool.write(replace(record, call_id=f"c{number}"))
        os.utime(tmp_path / "spool" / f"c{number}.json", ns=(number, number))
    (tmp_path / "spool" / "damaged.json").write_text("{")
    assert [found.call_id for found, _ in spool.changed({}, 2)] == ["c0", "c1"]
    known = {found.call_id: version for found, version in spool.changed({}, 9)}
    assert known == {"c0": 0, "c1": 1, "c2": 2}
    assert spool.changed(known, 9) == []
    spool.write(replace(record, call_id="c1", state="closed"))
    assert [(found.call_id, found.state) for found, _ in spool.changed(known, 9)] == [("c1", "closed")]
    # Said once, left in place, and in nobody's way.
    assert caplog.text.count("damaged.json") == 1


def test_discard_is_final_and_may_come_twice(spool: Spool, record: CallRecord, tmp_path: Path) -> None:
    spool.write(record)
    spool.discard(record.call_id)
    spool.discard(record.call_id)
    assert _on_disk(tmp_path) == {}


def test_a_record_is_synced_before_it_has_its_name(
    spool: Spool, record: CallRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append((Path(name).name, (tmp_path / "spool" / "c0ffee.json").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    spool.write(record)
    assert synced == [(".c0ffee.part", False), ("spool", True)]


def test_a_full_disk_is_told_and_leaves_the_last_version(
    spool: Spool, record: CallRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spool.write(record)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpoolError, match=r"c0ffee\.json: No space left on device; free space"):
        spool.write(replace(record, state="closed"))
    [(_, data)] = _on_disk(tmp_path).items()
    assert data["state"] == "open"


def test_trouble(spool: Spool, tmp_path: Path) -> None:
    assert spool.trouble() is None
    (tmp_path / "spool").rmdir()
    assert spool.trouble() == "spool: No such file or directory"


def test_a_spool_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="make it writable for the connector"):
        Spool(tmp_path / "file" / "spool").prepare()
