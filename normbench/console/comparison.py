"""What `compare` shows: the rows, the paired differences, the way to the targets."""

from collections.abc import Sequence

from rich.console import Group, RenderableType

from normbench.analysis import (
    Estimate,
    PairedDifference,
    Row,
    Sensitivity,
    Superiority,
    Target,
    conditions,
    sensitivity_answer,
    sensitivity_charts,
)
from normbench.analysis import format as words
from normbench.analysis.comparison import Comparison
from normbench.console.charts import chart_picture
from normbench.console.tables import plain_table
from normbench.console.text import Text


def comparison_table(comparison: Comparison, epochs: int) -> RenderableType:
    """The tables at the end of `compare`: one row a norm, or in a search one row a norm and setting."""
    if comparison.searching:
        return _search_table(comparison, epochs)
    table = plain_table(*words.ROW_COLUMNS)
    for row in comparison.rows:
        table.add_row(*words.row_cells(row))
    return Group(table, *_below(comparison, epochs), *_differences(comparison), *_targets(comparison))


def _search_table(comparison: Comparison, epochs: int) -> RenderableType:
    table = plain_table(*words.SEARCH_COLUMNS)
    for row in comparison.rows:
        chosen = comparison.found.get(row.norm) is row
        table.add_row(*words.search_cells(row, chosen), style="bold" if chosen else None)
    charts = [chart_picture(chart) for chart in sensitivity_charts(comparison.sensitivity)]
    said = [Text(sentence) for curves in comparison.sensitivity for sentence in sensitivity_answer(curves)]
    recipe = [Text("\nFor a recipe:\n" + words.recipe_lines(comparison.found))] if comparison.found else []
    return Group(table, *_below(comparison, epochs), *charts, *said, *recipe)


def _below(comparison: Comparison, epochs: int) -> list[RenderableType]:
    problems = [Text(f"{row.norm}: {problem}", style="red") for row in comparison.rows for problem in row.problems]
    caption = conditions(comparison.results, epochs, searching=comparison.searching)
    return [*problems, Text(caption, style="dim")]


def _differences(comparison: Comparison) -> list[RenderableType]:
    """Nothing of a single seed: one difference has no spread to judge it by."""
    if not comparison.is_paired:
        return []
    table = plain_table(*words.DIFFERENCE_COLUMNS, title="\n" + words.difference_title(comparison.differences))
    for one in comparison.differences:
        table.add_row(*words.difference_cells(one), style="bold" if one.separated else None)
    return [table, Text(words.difference_notes(comparison.differences), style="dim")]


def _targets(comparison: Comparison) -> list[RenderableType]:
    """Nothing without a validation split; `--json` says then that it was not measured."""
    measured = [target for target in comparison.targets if target.measured]
    if not measured:
        return []
    levels = list(dict.fromkeys(target.accuracy for target in measured))
    table = plain_table("norm", *(f"{level:.0%}" for level in levels), title="\nTo a validation accuracy of")
    for row in comparison.rows:
        cells = {one.accuracy: _way(one) for one in measured if one.norm == row.norm}
        table.add_row(row.norm, *(cells.get(level, words.NOTHING) for level in levels))
    note = "Mean over runs where every run got there; time of training, without the validation itself."
    return [table, Text(note, style="dim")]


def _way(target: Target) -> str:
    if target.epochs is None or target.seconds is None:
        return f"{target.reached} of {len(target.hits)} runs"
    return f"{target.epochs.mean:.1f} epochs, {target.seconds.mean:.1f} s"


def comparison_document(comparison: Comparison, files: Sequence[str], warnings: Sequence[str]) -> dict[str, object]:
    """What `compare --json` prints; accuracies and their differences are fractions."""
    return {
        "command": "compare",
        "rows": [row_document(row) for row in comparison.rows],
        "differences": [difference_document(one) for one in comparison.differences],
        "targets": [target_document(target) for target in comparison.targets],
        "found": {norm: {"lr": row.lr, "weight_decay": row.weight_decay} for norm, row in comparison.found.items()},
        "sensitivity": [sensitivity_document(one) for curves in comparison.sensitivity for one in curves],
        "runs": [result.model_dump(mode="json") for result in comparison.results],
        "files": list(files),
        "warnings": list(warnings),
    }


def sensitivity_document(one: Sensitivity) -> dict[str, object]:
    """A curve of a search as `--json` shows it; accuracies are fractions on the validation split."""
    first, last = one.tolerated or (0, -1)
    return {
        "norm": one.norm,
        "setting": one.setting,
        "values": list(one.values),
        "validation_accuracy": [_numbers(value) for value in one.accuracies],
        "diverged": list(one.diverged),
        "runs": list(one.runs),
        "best": None if one.best is None else one.values[one.best],
        "tolerated": list(one.values[first : last + 1]),
        "learned": one.learned,
    }


def row_document(row: Row) -> dict[str, object]:
    """A row of a comparison as `--json` shows it; accuracies are fractions."""
    return {
        "norm": row.norm,
        "parameters": row.parameters,
        "lr": row.lr,
        "weight_decay": row.weight_decay,
        "tuned": row.tuned,
        "train_accuracy": _numbers(row.train_accuracy),
        "train_loss": _numbers(row.train_loss),
        "validation_accuracy": _numbers(row.validation_accuracy),
        "test_accuracy": _numbers(row.test_accuracy),
        "test_loss": _numbers(row.test_loss),
        "seconds": _numbers(row.seconds),
        "runs": row.runs,
        "finished": row.finished,
        "diverged": row.diverged,
        "problems": list(row.problems),
    }


def difference_document(one: PairedDifference) -> dict[str, object]:
    """A paired difference as `--json` shows it: test accuracy of `norm` less that of `control`."""
    return {
        "norm": one.norm,
        "control": one.control,
        "seeds": list(one.seeds),
        "test_accuracy": _numbers(one.difference),
        "p": one.p,
        "p_holm": one.p_holm,
        "tests": one.tests,
        "joint_low95": one.low,
        "joint_high95": one.high,
        "p_better": _outperforming(one.better),
        "separated": one.separated,
        "margin": one.margin,
        "p_alike": one.p_alike,
        "alike": one.alike,
        "diverged": one.diverged,
        "verdict": words.verdict(one),
        "more_seeds": one.more_seeds,
    }


def target_document(target: Target) -> dict[str, object]:
    """A target as `--json` shows it; `epochs` and `seconds` are null where a run missed it or none was measured."""
    return {
        "norm": target.norm,
        "lr": target.lr,
        "weight_decay": target.weight_decay,
        "validation_accuracy": target.accuracy,
        "measured": target.measured,
        "why_not": None if target.measured else "not measured: no finished run had a validation split (--val-split)",
        "runs": len(target.hits),
        "reached": target.reached,
        "epochs": _numbers(target.epochs),
        "seconds": _numbers(target.seconds),
    }


def _numbers(value: Estimate | None) -> dict[str, object] | None:
    if value is None:
        return None
    ends = {"low95": value.low, "high95": value.high, "n": value.n, "values": list(value.values)}
    return {"mean": value.mean, "sd": value.sd, **ends}


def _outperforming(value: Superiority | None) -> dict[str, float | None] | None:
    if value is None:
        return None
    return {"probability": value.probability, "low95": value.low, "high95": value.high}


def comparison_values(comparison: Comparison) -> str:
    """What `compare -q` prints: norm and mean test accuracy (in a search: validation), a line each.

    Of a norm of which a run diverged: how many did.
    """
    lines = []
    for row in comparison.rows:
        accuracy = row.test_accuracy or row.validation_accuracy
        none = words.accuracy(None, row.diverged, row.runs)
        lines.append(f"{row.norm} {accuracy.mean:.4f}" if accuracy else f"{row.norm} {none}")
    return "\n".join(lines)
