"""What was measured here: the findings and comparisons under the output folder, quoted with their conditions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normbench.analysis import Finding, conditions, mixed, read_finding, summarize
from normbench.analysis.words import percent
from normbench.errors import NormbenchError
from normbench.runs import RunResult, list_experiment

COMPARED = ("bn", "gn")


@dataclass(frozen=True)
class Measured:
    """What a study found here."""

    where: Path
    says: str
    conditions: str


@dataclass(frozen=True)
class Unreadable:
    """A study's result that is there and cannot be read."""

    problem: str


def look_up(study: str, part: str, out: Path) -> Measured | Unreadable | None:
    """The result of a study under an output folder; None if there is none."""
    try:
        return next(_compared(out) if study == "compare" else _found(study, part, out), None)
    except NormbenchError as error:
        return Unreadable(error.message)


def _found(study: str, part: str, out: Path) -> Iterator[Measured]:
    """From the study's own folder first, then from those of other recipes."""
    for folder in (out / study, *sorted(out.glob(f"{study}-*"))):
        finding = read_finding(folder)
        if finding is not None and finding.study == study and (says := _says(finding, part)):
            yield Measured(folder, says, finding.conditions)


def _says(finding: Finding, part: str) -> str:
    if not part:
        return finding.answer[0] if finding.answer else ""
    parts: list[dict[str, Any]] = finding.values.get(finding.study, [])
    return next((_mistake(one) for one in parts if one.get("name") == part), "")


def _mistake(one: dict[str, Any]) -> str:
    right, wrong = (sum(one[key]) / len(one[key]) for key in ("right_accuracy", "wrong_accuracy"))
    seeds = len(one["right_accuracy"])
    return (
        f"{one['wrong']}: {percent(wrong)} instead of {percent(right)} test accuracy "
        f"({seeds} seed{'s' if seeds > 1 else ''}; {one['verdict']})"
    )


def _compared(out: Path) -> Iterator[Measured]:
    """From the first experiment in which both norms have finished runs on equal terms."""
    for folder in sorted(path for path in out.glob("*") if path.is_dir()):
        results = [entry.result for entry in list_experiment(folder) if _counts(entry.result)]
        done = [one for one in results if one is not None]
        rows = summarize(done)
        norms = [row.norm for row in rows]
        if set(COMPARED) <= set(norms) and len(norms) == len(set(norms)) and not mixed(done):
            accuracies = ", ".join(f"{row.norm} {percent(row.test_accuracy)}" for row in rows)
            yield Measured(folder, f"test accuracy {accuracies}", conditions(done, done[0].epochs))


def _counts(result: RunResult | None) -> bool:
    return result is not None and result.status == "done" and result.test_accuracy is not None
