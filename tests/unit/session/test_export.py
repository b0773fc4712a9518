"""Call records as CSV: cells, callers, and which days."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tellerline.session import export


@pytest.mark.parametrize(
    ("caller", "full", "masked"),
    [
        ("+4917212345678", "+4917212345678", "***78"),
        ("sip:100@pbx", "sip:100@pbx", "***"),
        ("12345", "12345", "***"),
        ("", "", ""),
    ],
)
def test_callers_are_written_as_the_site_wants(caller: str, full: str, masked: str) -> None:
    assert export.masked(caller, "full") == full
    assert export.masked(caller, "masked") == masked
    assert export.masked(caller, "none") == ""


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "+cmd|'/C calc'!A1", "-2+3+cmd", "\t=1", "+49-1"])
def test_a_cell_is_no_formula(cell: str) -> None:
    assert export.harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["+4917212345678", "-1.5", "908", "card_delivery", ""])
def test_a_number_stays_one(cell: str) -> None:
    assert export.harmless(cell) == cell


def test_days_end_yesterday() -> None:
    assert export.due(date(2026, 3, 1), 2) == [date(2026, 2, 27), date(2026, 2, 28)]


def test_old_files_go_and_others_stay(tmp_path: Path) -> None:
    for name in ("calls-2026-02-27.csv", "calls-2026-02-28.csv", "calls-2025-12-31.csv", "notes.csv"):
        (tmp_path / name).touch()
    gone = export.prune(tmp_path, date(2026, 3, 1), keep_days=1)
    assert [path.name for path in gone] == ["calls-2025-12-31.csv", "calls-2026-02-27.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls-2026-02-28.csv", "notes.csv"]
