"""Result of `batch-size`: tables, charts and the conclusions that follow from the figures."""

from collections.abc import Callable, Sequence
from typing import Any

from normbench.analysis import Chart, Estimate, Line, StudyResult, Table, caption, mismatches
from normbench.analysis import format as words
from normbench.config import Recipe
from normbench.runs import RunResult
from normbench.studies.batch_size.measure import Point, by_norm, by_size
from normbench.studies.batch_size.sentences import conclusions
from normbench.studies.batch_size.statistics import SAMPLE, Statistics
from normbench.studies.batch_size.study import STUDY

CHANCE = 0.1
"""Accuracy of guessing among the ten classes that each data set here has."""
SOURCES = {
    "running": "running statistics",
    "recomputed": "recomputed on training images",
    "own": "each batch's own",
}
SCALINGS = {
    "linear": "it times b / {reference} (linear scaling, arXiv:1706.02677)",
    "sqrt": "it times the square root of b / {reference} (arXiv:1404.5997)",
    "none": "the same at every batch size",
}


def batch_size_result(
    points: Sequence[Point], results: Sequence[RunResult], recipe: Recipe, environment: dict[str, Any]
) -> StudyResult:
    """Lay out what the points say; `environment` is that of the process, command line included."""
    searching = bool(recipe.data.val_split)
    scored = "validation accuracy" if searching else "test accuracy"
    with_statistics = [norm for norm, own in by_norm(points).items() if any(one.statistics for one in own)]
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        answer=tuple(conclusions(points, results, scored)),
        conditions=caption(results, recipe.training.epochs, searching=searching),
        tables=(
            _accuracy_table(points, scored),
            _train_table(points),
            _lr_table(points, recipe),
            *(_statistics_table(norm, by_norm(points)[norm], scored) for norm in with_statistics),
        ),
        charts=(
            _accuracy_chart(points, scored),
            *(_statistics_chart(norm, by_norm(points)[norm], scored) for norm in with_statistics),
        ),
        warnings=tuple(_warnings(points, results)),
        environment=environment,
        values={"scored": scored, "lr_scaling": recipe.sweep.lr_scaling, "points": [_values(one) for one in points]},
    )


def _grid(points: Sequence[Point], cell: Callable[[Point], str]) -> tuple[tuple[str, ...], ...]:
    """A row for each batch size: the size, its steps, and a cell for each norm."""
    norms = list(by_norm(points))
    return tuple(
        (str(size), f"{next(iter(at.values())).steps:,}", *(cell(at[norm]) for norm in norms))
        for size, at in by_size(points).items()
    )


def _cell(one: Point, accuracy: Estimate | None) -> str:
    return words.accuracy(accuracy, one.diverged, one.runs) if accuracy or one.diverged else "not finished"


def _columns(points: Sequence[Point]) -> tuple[str, ...]:
    return ("batch", "steps", *by_norm(points))


def _accuracy_table(points: Sequence[Point], scored: str) -> Table:
    note = "Every point has seen the same images as often; steps are those of a whole run."
    rows = _grid(points, lambda one: _cell(one, one.accuracy))
    return Table(title=f"{scored.capitalize()} by batch size", columns=_columns(points), rows=rows, note=note)


def _train_table(points: Sequence[Point]) -> Table:
    note = "In eval mode on the plain training images: where this falls too, the small batch has hindered learning."
    rows = _grid(points, lambda one: _cell(one, one.train_accuracy))
    return Table(title="Train accuracy by batch size", columns=_columns(points), rows=rows, note=note)


def _lr_table(points: Sequence[Point], recipe: Recipe) -> Table:
    rule = SCALINGS[recipe.sweep.lr_scaling].format(reference=recipe.training.batch_size)
    note = f"The recipe's rate of each norm is that of batches of {recipe.training.batch_size}; for b images: {rule}."
    rows = _grid(points, lambda one: words.learning_rate(float(f"{one.lr:.4g}"), one.tuned))
    return Table(title="Learning rate by batch size", columns=_columns(points), rows=rows, note=note)


def _statistics_table(norm: str, points: Sequence[Point], scored: str) -> Table:
    measured = [one for one in points if one.statistics]
    rows = tuple(
        (str(one.batch_size), *(words.percent(one.statistics[source]) for source in Statistics.SOURCES))
        for one in measured
    )
    note = (
        f"The same weights on the same images (at most {SAMPLE:,} of those that are scored), normalized with three "
        "kinds of statistics: the running averages of training; means over the plain training images, taken anew "
        "(arXiv:2105.07576); those of each batch, as large as in training."
    )
    title = f"{norm}: {scored} by where its statistics come from"
    return Table(title=title, columns=("batch", *SOURCES.values()), rows=rows, note=note)


def _accuracy_chart(points: Sequence[Point], scored: str) -> Chart:
    lines = [_line(norm, own, lambda one: one.accuracy) for norm, own in by_norm(points).items()]
    return _chart("accuracy", f"{scored.capitalize()} by batch size", scored, lines)


def _statistics_chart(norm: str, points: Sequence[Point], scored: str) -> Chart:
    lines = [_line(name, points, lambda one, key=source: one.statistics.get(key)) for source, name in SOURCES.items()]  # type: ignore[misc]
    name = f"statistics-{''.join(letter if letter.isalnum() else '-' for letter in norm.lower())}"
    return _chart(name, f"{norm}: {scored} by where its statistics come from", scored, lines)


def _chart(name: str, title: str, scored: str, lines: Sequence[Line]) -> Chart:
    return Chart(
        name=name, title=title, x_label="batch size", y_label=scored, lines=tuple(lines), log_x=True, percent=True,
        reference=CHANCE,
    )  # fmt: skip


def _line(label: str, points: Sequence[Point], value: Callable[[Point], Estimate | None]) -> Line:
    lost = [float(one.batch_size) for one in points if one.problems]
    return Line.of_estimates(label, [float(one.batch_size) for one in points], list(map(value, points)), lost)


def _warnings(points: Sequence[Point], results: Sequence[RunResult]) -> list[str]:
    """What was not equal among the points, other than the batch."""
    of_one_size = [result.model_copy(update={"batch_size": 0}) for result in results]
    images = results[0].train_images
    uneven = [size for size in by_size(points) if images % size]
    said = [
        f"batches of {size} leave out {images % size:,} of {images:,} images in every epoch, other ones each time"
        for size in uneven
    ]
    return mismatches(of_one_size) + said


def _values(one: Point) -> dict[str, Any]:
    figures = {name: getattr(one, name) for name in ("accuracy", "train_accuracy", "seconds")} | {
        f"accuracy_{source}": value for source, value in one.statistics.items()
    }
    plain = {name: getattr(one, name) for name in ("norm", "batch_size", "lr", "tuned", "steps", "runs", "diverged")}
    numbers = {name: value and value.model_dump(by_alias=False) for name, value in figures.items()}
    return plain | numbers | {"problems": list(one.problems)}
