"""Result of `batch-size`: tables and charts."""

from collections.abc import Callable, Sequence
from typing import Any

from normbench.analysis import Chart, Estimate, Line, StudyResult, Table, format, mismatches
from normbench.config import Recipe
from normbench.runs import RunResult
from normbench.runs.environment import environment
from normbench.studies.batch_size.measure import Measurement, Point, by_norm, by_size
from normbench.studies.batch_size.sentences import caption, conclusions
from normbench.studies.batch_size.statistics import SAMPLE, Statistics
from normbench.studies.batch_size.study import STUDY

CHANCE = 0.1
"""Accuracy of guessing among the ten classes that each data set here has."""
SOURCES = {
    "running": "running statistics",
    "recomputed": "recomputed on training images",
    "batch": "each batch's own",
}
SCALINGS = {
    "linear": "it times b / {reference} (linear scaling, arXiv:1706.02677)",
    "sqrt": "it times the square root of b / {reference} (arXiv:1404.5997)",
    "none": "the same at every batch size",
}


def study_result(measurement: Measurement) -> StudyResult:
    """Lay out a measurement as tables, charts and conclusions."""
    points, recipe, score = measurement.points, measurement.recipe, measurement.score
    with_statistics = {norm: line for norm, line in by_norm(points).items() if any(point.statistics for point in line)}
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=conclusions(measurement),
        caption=caption(measurement),
        tables=(
            _table(
                f"{score.capitalize()} by batch size",
                points,
                lambda point: _accuracy(point, point.accuracy),
                "Every point has seen the same images as often; steps are those of a whole run.",
            ),
            _table(
                "Train accuracy by batch size",
                points,
                lambda point: _accuracy(point, point.train_accuracy),
                "In eval mode on un-augmented training images: if this falls too, the small batch hinders learning.",
            ),
            _table(
                "Learning rate by batch size",
                points,
                lambda point: format.learning_rate(float(f"{point.lr:.4g}"), point.tuned),
                _lr_note(recipe),
            ),
            *(_statistics_table(norm, line, score) for norm, line in with_statistics.items()),
        ),
        charts=(
            _chart(
                "accuracy",
                f"{score.capitalize()} by batch size",
                score,
                [_line(norm, line, lambda point: point.accuracy) for norm, line in by_norm(points).items()],
            ),
            *(_statistics_chart(norm, line, score) for norm, line in with_statistics.items()),
        ),
        warnings=tuple(_warnings(points, measurement.results)),
        environment=environment(measurement.device),
        values={
            "scored": score,
            "lr_scaling": recipe.sweep.lr_scaling,
            "points": [_values(point) for point in points],
        },
    )


def _table(title: str, points: Sequence[Point], cell: Callable[[Point], str], note: str) -> Table:
    """Table with a row per batch size (with its steps) and a column per norm."""
    norms = list(by_norm(points))
    rows = tuple(
        (str(size), f"{next(iter(of_size.values())).steps:,}", *(cell(of_size[norm]) for norm in norms))
        for size, of_size in by_size(points).items()
    )
    return Table(title=title, columns=("batch", "steps", *norms), rows=rows, note=note)


def _accuracy(point: Point, accuracy: Estimate | None) -> str:
    return format.accuracy(accuracy, point.diverged, point.runs) if accuracy or point.diverged else "not finished"


def _lr_note(recipe: Recipe) -> str:
    rule = SCALINGS[recipe.sweep.lr_scaling].format(reference=recipe.training.batch_size)
    return f"The recipe's rate of each norm is for batches of {recipe.training.batch_size}; for b images: {rule}."


def _statistics_title(norm: str, score: str) -> str:
    return f"{norm}: {score} by source of its statistics"


def _statistics_table(norm: str, points: Sequence[Point], score: str) -> Table:
    rows = tuple(
        (str(point.batch_size), *(format.percent(point.statistics[source]) for source in Statistics.SOURCES))
        for point in points
        if point.statistics
    )
    note = (
        f"The same weights on the same images (at most {SAMPLE:,} of those that are scored), normalized with three "
        "kinds of statistics: the running averages of training; means over the un-augmented training images, "
        "recomputed (arXiv:2105.07576); those of each batch, as large as in training."
    )
    title = _statistics_title(norm, score)
    return Table(title=title, columns=("batch", *SOURCES.values()), rows=rows, note=note)


def _statistics_chart(norm: str, points: Sequence[Point], score: str) -> Chart:
    lines = [
        _line(label, points, lambda point, key=source: point.statistics.get(key))  # type: ignore[misc]
        for source, label in SOURCES.items()
    ]
    name = f"statistics-{''.join(letter if letter.isalnum() else '-' for letter in norm.lower())}"
    return _chart(name, _statistics_title(norm, score), score, lines)


def _chart(name: str, title: str, score: str, lines: Sequence[Line]) -> Chart:
    return Chart(
        name=name, title=title, x_label="batch size", y_label=score, lines=tuple(lines), log_x=True, percent=True,
        reference=CHANCE,
    )  # fmt: skip


def _line(label: str, points: Sequence[Point], value: Callable[[Point], Estimate | None]) -> Line:
    sizes = [float(point.batch_size) for point in points]
    unfinished = [float(point.batch_size) for point in points if point.problems]
    return Line.of_estimates(label, sizes, list(map(value, points)), unfinished)


def _warnings(points: Sequence[Point], results: Sequence[RunResult]) -> list[str]:
    """Settings other than the batch size that were not equal, and batch sizes that do not divide the images."""
    ignoring_batch_size = [result.model_copy(update={"batch_size": 0}) for result in results]
    images = results[0].train_images
    uneven = [
        f"batches of {size} leave out {images % size:,} of {images:,} images in every epoch, other ones each time"
        for size in by_size(points)
        if images % size
    ]
    return mismatches(ignoring_batch_size) + uneven


def _values(point: Point) -> dict[str, Any]:
    estimates = {name: getattr(point, name) for name in ("accuracy", "train_accuracy", "seconds")} | {
        f"accuracy_{source}": value for source, value in point.statistics.items()
    }
    plain = {name: getattr(point, name) for name in ("norm", "batch_size", "lr", "tuned", "steps", "runs", "diverged")}
    figures = {name: value and value.model_dump(by_alias=False) for name, value in estimates.items()}
    return plain | figures | {"problems": list(point.problems)}
