"""What benchmarks found, as one table for people: every figure, its budget and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tellerline.robot.benchmarks.bench import Budget, Result, Take
from tellerline.robot.benchmarks.latency import AMBITION_MS

# What each part of an answer's way is, in words; conversation.critical_path names them.
_STAGES = {
    "line": "the caller's last sound on its way to the pipeline",
    "endpoint": "until recognition is started at the first silence",
    "recognition": "until the words are known",
    "confirm": "until the turn is known to be over",
    "thinking": "until the language model's first clause",
    "synthesis": "until the first clause's first samples",
    "gate": "audio ready before the turn is known to be over",
    "send": "until handed to the connector",
    "wait": "between two stages",
    "network": "connector's queue, RTP and its arrival",
    "all": "not known: the stack was not watched",
}
# Figures whose key says too little.
_LABELS = {
    "p50_above_ambition_ms": f"p50 above the ambition of {AMBITION_MS['p50_ms']}, ms",
    "p95_above_ambition_ms": f"p95 above the ambition of {AMBITION_MS['p95_ms']}, ms",
    "overlapped": "turns the bot still spoke in as the caller ended",
    "early_answers": "answers begun before the caller had ended",
    "misheard": "turns misheard by a word or more",
    "withdrawn": "answers withdrawn before they were heard",
}
_PATH = "mean_path_ms"
_NAME_WIDTH, _VALUE_WIDTH, _BUDGET_WIDTH = 52, 12, 12


@dataclass(frozen=True)
class Row:
    """One line of the table; budget and verdict are empty for a figure that is only printed."""

    name: str
    value: str
    budget: str = ""
    verdict: str = ""


def rows(result: Result) -> list[Row]:
    """The figures in their order, each with its budget where it has one; then budgets of no figure."""
    budgets = {budget.figure: budget for budget in result.budgets if budget.figure}
    found = [row for name, value in result.figures.items() for row in _rows(name, value, budgets)]
    found += [_judged(budget) for budget in result.budgets if budget.figure not in result.figures]
    if result.error:
        found.append(Row("measured to the end", "no", "yes", "MISSED"))
    return found


def _rows(name: str, value: Any, budgets: Mapping[str, Budget]) -> Iterator[Row]:
    leaf = name.rpartition(": ")[2]
    if leaf == _PATH:
        yield from _path(name.removesuffix(_PATH), value)
    elif name in budgets:
        yield _judged(budgets[name])
    elif isinstance(value, Mapping):
        for inner, figure in value.items():
            yield from _rows(f"{name}: {inner}", figure, {})
    elif not isinstance(value, list):
        yield Row(_words(name), _shown(value))


def _path(prefix: str, path: Mapping[str, float]) -> Iterator[Row]:
    """Where an average answer's milliseconds go, each stage with its share."""
    total = f"{sum(path.values()):.1f}" if path else "not known"
    if prefix:
        # One line beside the other figures of a group.
        stages = ", ".join(f"{name} {ms:.0f}" for name, ms in path.items())
        yield Row(_words(f"{prefix}mean_answer_ms"), total, verdict=stages)
        return
    yield Row("where the mean answer's time goes, ms", total)
    for name, ms in path.items():
        yield Row(f"  {name}", f"{ms:.1f}", f"{ms / sum(path.values()):.0%}", _STAGES.get(name, ""))


def _judged(budget: Budget) -> Row:
    sign = ">=" if budget.at_least else "<="
    verdict = "held" if budget.held else "MISSED"
    return Row(budget.name, _shown(budget.value), f"{sign} {budget.limit:g}", verdict)


def _shown(value: Any) -> str:
    if value is None:
        return "not measured"
    return f"{value:.1f}" if isinstance(value, float) and value >= 1 else str(value)


def _words(name: str) -> str:
    group, colon, figure = name.rpartition(": ")
    unit = ", ms" if figure.endswith("_ms") else ""
    label = _LABELS.get(figure, figure.removesuffix("_ms") + unit)
    return f"{group}{colon}{label}".replace("_", " ")


def table(results: Sequence[Result]) -> list[str]:
    """The lines of one table over all benchmarks."""
    lines = [_line(Row("figure", "measured", "budget", "verdict"))]
    for result in results:
        lines += ["", result.bench]
        lines += [_line(Row(f"  {row.name}", row.value, row.budget, row.verdict)) for row in rows(result)]
        lines += [f"  {line}" for line in remarks(result)]
    return lines


def _line(row: Row) -> str:
    columns = (
        f"{row.name:<{_NAME_WIDTH}}",
        f"{row.value:>{_VALUE_WIDTH}}",
        f"{row.budget:>{_BUDGET_WIDTH}}",
        f"  {row.verdict}",
    )
    return "".join(columns).rstrip()


def remarks(result: Result) -> list[str]:
    """What must be known beside the figures: what was skipped, failed or disturbed."""
    said = [f"SKIPPED {what}" for what in result.skipped]
    said += [f"note: {note}" for note in result.notes]
    said += [f"DISTURBED {_disturbed(take)}" for take in result.takes if take.marked]
    again = sum(not take.used for take in result.takes)
    if again:
        said.append(f"note: {again} disturbed runs were measured again")
    if result.error:
        said.append(f"FAILED {result.error}")
    return said


def _disturbed(take: Take) -> str:
    return f"{take.name}: {take.use.disturbed}; its figures count all the same"


def machine(described: Mapping[str, Any]) -> list[str]:
    """The machine and the versions, once for all benchmarks."""
    versions = ", ".join(f"{name} {version}" for name, version in described["versions"].items())
    return [
        f"{described['cpu']}, {described['cores']} cores, {described['memory_mb']} MB, "
        f"Linux {described['kernel']}, Python {described['python']}, revision {described['revision']}",
        versions,
    ]


def skipped(results: Sequence[Result]) -> list[str]:
    """Everything that was not measured, to be said last and loudly."""
    return [f"{result.bench}: {what}" for result in results for what in result.skipped]
