"""`tellerline eval nlupp`: how well amounts, times and days are parsed, on NLU++ (Casanueva et al. 2022)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal

import click

from tellerline.errors import SettingsError
from tellerline.language import amounts, dates, times

# The clock of the data set: all of its relative days and times are told from here.
NOW = datetime(2022, 3, 15, 9, 1)
# Stands for the currency where none is said; the data set calls that ambiguous.
_NO_CURRENCY = "XXX"
_UNTOLD = "ambiguous"

_SLOTS = {
    "amount_of_money": "amounts",
    "time": "times",
    "time_from": "times",
    "time_to": "times",
    "date": "dates",
    "date_from": "dates",
    "date_to": "dates",
}
# What the data set gets wrong, by slot kind and span, and why. Everything else counts.
_GOLD_ERRORS = {
    ("times", "15 to 3 p.m."): "15:00 for a quarter to three",
    ("dates", "last week"): "7 February for the week of 7 March, which date_period has right",
}

Value = amounts.Money | date | time | None


@dataclass
class Score:
    """One kind of value: on the span alone, and found in the whole sentence."""

    spans: int = 0
    right: int = 0
    right_in_sentence: int = 0
    excluded: list[dict[str, str]] = field(default_factory=list)
    wrong: list[dict[str, str]] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """What is printed."""
        total = max(self.spans, 1)
        return {
            "spans": self.spans,
            "exact": self.right / total,
            "exact_in_sentence": self.right_in_sentence / total,
            "excluded": self.excluded,
            "wrong": self.wrong,
        }


@click.command("nlupp")
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def nlupp(folder: Path, as_json: bool) -> None:
    """Parses the amounts, times and days of every NLU++ fold (*.json) in FOLDER, or of one file.

    "exact" is on the given span, "exact_in_sentence" with the whole sentence to find it in. Values that the
    data set gets wrong are listed and left out.
    """
    scores = evaluate(_rows(folder))
    report = {kind: score.report() for kind, score in scores.items()}
    click.echo(json.dumps(report, ensure_ascii=False) if as_json else _table(report))


def evaluate(rows: Iterable[dict[str, Any]]) -> dict[str, Score]:
    """The scores of "amounts", "times" and "dates" over rows of NLU++."""
    scores: dict[str, Score] = defaultdict(Score)
    for row in rows:
        for name, slot in (row.get("slots") or {}).items():
            if kind := _SLOTS.get(name):
                _count(scores[kind], kind, name, row["text"], slot)
    return dict(scores)


def _count(score: Score, kind: str, name: str, sentence: str, slot: dict[str, Any]) -> None:
    span = slot["text"]
    try:
        wanted = _wanted(kind, slot)
    except KeyError as missing:
        score.excluded.append({"span": span, "gold": "", "why": f"its value has no {missing}"})
        return
    if reason := _GOLD_ERRORS.get((kind, span)):
        score.excluded.append({"span": span, "gold": str(wanted), "why": reason})
        return
    parsed = _parsed(kind, name, span)
    score.spans += 1
    score.right += parsed == wanted
    score.right_in_sentence += _parsed(kind, name, sentence) == wanted
    if parsed != wanted:
        score.wrong.append({"span": span, "gold": str(wanted), "parsed": str(parsed)})


def _wanted(kind: str, slot: dict[str, Any]) -> Value:
    value = slot.get("value", slot.get("values"))
    if not isinstance(value, dict) or value.get("type") == _UNTOLD:
        return None
    if kind == "amounts":
        currency = _NO_CURRENCY if value["currency"] == _UNTOLD else value["currency"]
        return amounts.Money(round(value["amount"] * 100), currency)
    if kind == "times":
        return time(value["hour"], value["minute"])
    return date(value["year"], value["month"], value["day"])


def _parsed(kind: str, name: str, text: str) -> Value:
    if kind == "amounts":
        return amounts.parse_amount(text, "en", _NO_CURRENCY)
    if kind == "times":
        return times.parse_time(text, "en", NOW)
    edge: Literal["start", "end"] = "end" if name == "date_to" else "start"
    return dates.parse_date(text, "en", NOW.date(), edge=edge)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    for file in files:
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SettingsError(f"{file}: not a fold of NLU++ ({error}); a JSON list of rows is") from error
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "text" in row for row in rows):
            raise SettingsError(f"{file}: not a fold of NLU++; a JSON list of rows with their text is")
        yield from rows
    if not files:
        raise SettingsError(f"{path}: holds no *.json; give the folder of NLU++'s folds")


def _table(report: dict[str, Any]) -> str:
    lines = [f"{'':8} {'spans':>6} {'exact':>7} {'in sentence':>12}"]
    for kind, score in sorted(report.items()):
        exact, inside = score["exact"], score["exact_in_sentence"]
        lines.append(f"{kind:8} {score['spans']:6} {exact:7.1%} {inside:12.1%}")
    for kind, score in sorted(report.items()):
        lines += [f"wrong    {kind}: {w['span']!r} is {w['gold']}, not {w['parsed']}" for w in score["wrong"]]
        lines += [f"excluded {kind}: {e['span']!r}: {e['why']}" for e in score["excluded"]]
    return "\n".join(lines)
