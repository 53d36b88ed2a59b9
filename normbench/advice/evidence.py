"""Measurements on disk and in the documentation."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, log
from pathlib import Path
from typing import Any

from normbench.advice.published import Published, documented_text, of_study
from normbench.advice.rules import Evidence, Rule
from normbench.advice.situation import Situation
from normbench.analysis import StudyResult, Table, aggregate_runs, caption, mismatches, read_study_result
from normbench.analysis.format import percent
from normbench.errors import NormbenchError
from normbench.runs import Entry, RunResult, list_experiment
from normbench.text import counted

COMPARED = ("bn", "gn")
HIGHER = "scores higher"
"""Verdict of `mistakes` on a mistake that scores higher than the right way, separated from it."""
MISTAKE_CONTRADICTION = "the wrong way scores higher than the right one"
DOCUMENTED = {"compare": "baseline", "depth": "conv, depth 10"}
"""Part of a documented study that stands for it where the evidence names none."""


@dataclass(frozen=True)
class Measured:
    """Measurement of a study or comparison."""

    folder: Path | None
    """Folder of the experiment; None for a measurement of the documentation."""
    statement: str
    caption: str
    batch_size: int | None = None
    """Measured batch size nearest to the situation's; None for figures that do not depend on it."""
    contradiction: str = ""
    """Contradiction to the rule that quotes the measurement; empty if there is none."""
    page: str = ""
    """Page of the documentation that states it; empty for a measurement of this machine."""


@dataclass(frozen=True)
class Unreadable:
    """Result of a study that cannot be read."""

    problem: str


def look_up(evidence: Evidence, rule: Rule, situation: Situation, out: Path) -> Measured | Unreadable | None:
    """Look up the measurement of an evidence's study under an output folder; None if there is none."""
    try:
        match evidence.study:
            case "compare":
                return _compared(rule, situation, out)
            case "batch-size":
                return next(_batch_sizes(rule, situation, out), None)
            case study:
                return next(_study_results(study, evidence.part, out), None)
    except NormbenchError as error:
        return Unreadable(error.message)
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        return Unreadable(f"the result of `{evidence.study}` under {out} is damaged: {type(error).__name__}: {error}")


def documented(evidence: Evidence, rule: Rule, situation: Situation) -> Measured | None:
    """Look up the documentation's measurement of an evidence's study; None if there is none."""
    entries = of_study(evidence.study, evidence.part or DOCUMENTED.get(evidence.study))
    if not entries:
        return None
    if evidence.study == "mistakes":
        entry = entries[0]
        statement, contradiction = _documented_mistake(entry)
    else:
        size = _nearest([entry.batch_size for entry in entries], situation.batch_size)
        at_size = [entry for entry in entries if entry.batch_size == size]
        entry = max(at_size, key=lambda entry: entry.seeds)
        means = {norm: None if value is None else value.mean for norm, value in entry.values.items()}
        statement, contradiction = f"{_ranked_text(means)} {entry.quantity}", _contradiction(rule, means, entry.seeds)
        if evidence.study in ("compare", "batch-size"):
            statement = f"{_size_text(size, situation)}: {statement}"
        elif entry.part:
            statement = f"{entry.part}: {statement}"
    return Measured(None, statement, entry.caption, entry.batch_size, contradiction, entry.page)


def documented_result(study: str, question: str) -> StudyResult | None:
    """Lay out what the documentation has measured with a study: a table per set of conditions; None without any."""
    groups: dict[tuple[str, str, str], dict[str, Published]] = {}
    for entry in of_study(study):
        series, _, point = entry.part.rpartition(", ")
        title = ", ".join(filter(None, (series, entry.quantity)))
        groups.setdefault((title, entry.page, entry.caption), {})[point or f"batch {entry.batch_size:,}"] = entry
    if not groups:
        return None
    tables = tuple(
        _documented_table(title, f"{caption} ({page})", entries) for (title, page, caption), entries in groups.items()
    )
    pages = " and ".join(dict.fromkeys(page for _, page, _ in groups))
    return StudyResult(
        study=study,
        title=question,
        conclusions=(),
        caption=f"Measured for the documentation ({pages}), not on this machine.",
        tables=tables,
        charts=(),
        values={"measurements": [entry.model_dump(mode="json") for entry in of_study(study)]},
    )


def _documented_table(title: str, note: str, entries: Mapping[str, Published]) -> Table:
    """Table of measurements with one set of conditions; of points and norms the more numerous are its rows."""
    labels = tuple(dict.fromkeys(label for entry in entries.values() for label in entry.values))
    cells = {
        (point, label): documented_text(entry.values[label]) if label in entry.values else "-"
        for point, entry in entries.items()
        for label in labels
    }
    if any(entry.verdict for entry in entries.values()):
        columns = ("mistake", *(f"{label} way" for label in labels), "verdict")
        rows = [(point, *(cells[point, label] for label in labels), entry.verdict) for point, entry in entries.items()]
    elif len(labels) >= len(entries):
        columns = ("norm", *entries)
        rows = [(label, *(cells[point, label] for point in entries)) for label in labels]
    else:
        columns = ("", *labels)
        rows = [(point, *(cells[point, label] for label in labels)) for point in entries]
    return Table(title=title, columns=columns, rows=tuple(rows), note=note)


def _documented_mistake(entry: Published) -> tuple[str, str]:
    right, wrong = (percent(value.mean) if (value := entry.values[way]) else "diverged" for way in ("right", "wrong"))
    statement = f"{entry.wrong}: {wrong} instead of {right} {entry.quantity} ({_seeds(entry.seeds)}; {entry.verdict})"
    return statement, MISTAKE_CONTRADICTION if entry.verdict == HIGHER else ""


def _seeds(count: int) -> str:
    return counted(count, "seed")


def _results(study: str, out: Path) -> Iterator[tuple[Path, StudyResult]]:
    """Iterate over the results of a study: in its own folder first, then in those of other recipes."""
    for folder in (out / study, *sorted(out.glob(f"{study}-*"))):
        result = read_study_result(folder)
        if result is not None and result.study == study:
            yield folder, result


def _study_results(study: str, part: str, out: Path) -> Iterator[Measured]:
    for folder, result in _results(study, out):
        if not part and result.conclusions:
            yield Measured(folder, result.conclusions[0], result.caption)
        parts: list[dict[str, Any]] = result.values.get(study, []) if part else []
        yield from (_mistake(entry, folder, result) for entry in parts if entry.get("name") == part)


def _mistake(entry: dict[str, Any], folder: Path, result: StudyResult) -> Measured:
    right, wrong = (sum(entry[key]) / len(entry[key]) for key in ("right_accuracy", "wrong_accuracy"))
    statement = (
        f"{entry['wrong']}: {percent(wrong)} instead of {percent(right)} test accuracy "
        f"({_seeds(len(entry['right_accuracy']))}; {entry['verdict']})"
    )
    contradiction = MISTAKE_CONTRADICTION if entry["verdict"] == HIGHER else ""
    return Measured(folder, statement, result.caption, contradiction=contradiction)


def _batch_sizes(rule: Rule, situation: Situation, out: Path) -> Iterator[Measured]:
    for folder, result in _results("batch-size", out):
        points = result.values.get("points", [])
        measured = {point["batch_size"] for point in points if _mean(point) is not None}
        if not measured:
            continue
        size = _nearest(measured, situation.batch_size)
        at_size = [point for point in points if point["batch_size"] == size]
        means = {point["norm"]: _mean(point) for point in at_size}
        seeds = max(point["accuracy"]["n"] for point in at_size if point["accuracy"])
        scored = result.values.get("scored", "test accuracy")
        yield Measured(
            folder,
            f"{_size_text(size, situation)}: {_ranked_text(means)} {scored}",
            result.caption,
            size,
            _contradiction(rule, means, seeds),
        )


def _mean(point: Mapping[str, Any]) -> float | None:
    """Mean accuracy of a norm at a batch size; None if one of its runs did not finish."""
    return None if point.get("problems") or not point["accuracy"] else point["accuracy"]["mean"]


def _compared(rule: Rule, situation: Situation, out: Path) -> Measured | None:
    """Measurement of the comparison at the nearest batch size in which both norms have finished runs on equal terms."""
    by_size: dict[int, Measured] = {}
    for folder in sorted(path for path in out.glob("*") if path.is_dir()):
        done = [result for entry in list_experiment(folder) if (result := _result_that_counts(entry)) is not None]
        rows = aggregate_runs(done)
        means = {row.norm: row.test_accuracy.mean for row in rows if row.test_accuracy}
        if set(COMPARED) <= set(means) and len(rows) == len(means) and not mismatches(done):
            size, seeds = done[0].batch_size, len({result.seed for result in done})
            statement = f"{_size_text(size, situation)}: {_ranked_text(means)} test accuracy"
            contradiction = _contradiction(rule, means, seeds)
            by_size.setdefault(size, Measured(folder, statement, caption(done, done[0].epochs), size, contradiction))
    return by_size[_nearest(by_size, situation.batch_size)] if by_size else None


def _result_that_counts(entry: Entry) -> RunResult | None:
    """Result of a run that reads the test images; a diverged one counts, since its norm then has no mean."""
    if entry.config is None or entry.result is None or not entry.config.read_test:
        return None
    return None if entry.result.status == "failed" else entry.result


def _nearest(sizes: Iterable[int], wanted: int) -> int:
    """Choose the nearest size by ratio, not by difference; of two equally near ones the smaller."""
    return min(sorted(sizes), key=lambda size: abs(log(size / wanted)))


def _size_text(size: int, situation: Situation) -> str:
    nearest = "" if size == situation.batch_size else f", the nearest to {situation.batch_size} that was measured"
    return f"at batches of {size}{nearest}"


def _rank_key(mean: float | None) -> float:
    """Sort key of a mean: a norm that did not finish ranks below every other."""
    return -inf if mean is None else mean


def _ranked_text(means: Mapping[str, float | None]) -> str:
    best_first = sorted(means, key=lambda norm: _rank_key(means[norm]), reverse=True)
    return ", ".join(f"{norm} {'did not finish' if (m := means[norm]) is None else percent(m)}" for norm in best_first)


def _contradiction(rule: Rule, means: Mapping[str, float | None], seeds: int) -> str:
    """State that a norm which the rule avoids, or prefers less, scored above its first choice; empty if none did."""
    preferred = [norm for norm in rule.prefer if norm in means]
    rivals = [norm for norm in (*rule.avoid, *rule.exclude, *preferred[1:]) if norm in means]
    if not preferred or not rivals:
        return ""
    best = max(rivals, key=lambda norm: _rank_key(means[norm]))
    mean, theirs = means[preferred[0]], means[best]
    if theirs is None or _rank_key(mean) >= theirs:
        return ""
    caveat = "one seed, which shows no spread" if seeds == 1 else f"mean of {seeds} seeds"
    if mean is None:
        return f"{preferred[0]} did not finish, {best} did ({caveat})"
    return f"{best} is {100 * (theirs - mean):.1f} points above {preferred[0]} ({caveat})"
