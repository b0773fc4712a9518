"""How well what people said is parsed: NLU++ (Casanueva et al. 2022), its clock at 2022-03-15 09:01."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tellerline.cli.eval_nlupp import nlupp


def test_the_budgets_are_held(shared_data: Path) -> None:
    result = CliRunner().invoke(nlupp, [str(shared_data / "nlupp-banking"), "--json"])
    assert result.exit_code == 0
    report = json.loads(result.output)
    assert report["amounts"]["exact"] >= 0.95
    assert report["times"]["exact"] >= 0.90
    assert report["dates"]["exact"] >= 0.85
    assert all(excluded["why"] for score in report.values() for excluded in score["excluded"])


def test_a_wrong_value_counts(tmp_path: Path) -> None:
    row = {
        "text": "send 5 pounds",
        "slots": {"amount_of_money": {"text": "5 pounds", "value": {"amount": 6.0, "currency": "GBP"}}},
    }
    (tmp_path / "fold.json").write_text(json.dumps([row]))
    report = json.loads(CliRunner().invoke(nlupp, [str(tmp_path), "--json"]).output)
    assert report["amounts"]["exact"] == 0
    assert report["amounts"]["wrong"][0]["span"] == "5 pounds"


def test_a_folder_without_folds_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(nlupp, [str(tmp_path)])
    assert "no *.json" in str(result.exception)


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[1]"])
def test_a_file_that_is_no_fold_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "fold.json").write_text(text)
    result = CliRunner().invoke(nlupp, [str(tmp_path)])
    assert "not a fold" in str(result.exception)
