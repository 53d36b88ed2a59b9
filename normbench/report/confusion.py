"""Confusion matrices and accuracy by class, over seeds. Missing ones are evaluated from the weights."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from normbench.analysis import Estimate, Series, estimate
from normbench.analysis.format import percent
from normbench.errors import NormbenchError
from normbench.evaluation import recall_per_class
from normbench.report.experiment import Experiment
from normbench.report.figure import (
    FAINT,
    HEAT,
    Plot,
    drawing,
    export_plot,
    keep_within,
    legend,
    new_figure,
    percents,
    series_style,
    short,
)
from normbench.report.progress import Progress, no_progress
from normbench.report.saved import SavedNetworks
from normbench.report.select import Finished
from normbench.runs import read_confusion

DARKEST = 0.45
"""Largest opacity of a cell of the confusion matrix, so that text on it stays legible."""


@dataclass(frozen=True)
class Confusion:
    """Predictions of a norm on the test images, summed over its seeds."""

    series: Series
    counts: np.ndarray
    """Images by true class (row) and predicted class (column), summed over seeds; shape (classes, classes)."""
    per_class: tuple[Estimate | None, ...]
    """Accuracy on each class, over seeds; None for a class without images."""


@dataclass(frozen=True)
class Confusions:
    """Confusion matrices by norm, with a sentence on each that is missing."""

    classes: tuple[str, ...]
    matrices: tuple[Confusion, ...]
    notes: tuple[str, ...]


def collect_confusions(experiment: Experiment, saved: SavedNetworks, progress: Progress = no_progress) -> Confusions:
    """Collect the confusion matrices of the finished runs.

    A run of an earlier version recorded none: its weights are evaluated again, if its data set is available.
    """
    comparison = experiment.comparison
    if comparison.searching:
        return Confusions((), (), ("A search leaves the test images unread, and so does its report.",))
    if not any(series.done for series in comparison.series):
        return Confusions((), (), ("No run was finished, so there are no predictions to count.",))
    reader = _Reader(saved, progress)
    matrices = [
        _confusion(series, experiment.done(series), reader) for series in comparison.series if not series.row.diverged
    ]
    reader.notes += [
        f"{series.label}: {series.row.diverged} of {series.row.runs} diverged, so it has no accuracy by class and no "
        "confusions."
        for series in comparison.series
        if series.row.diverged
    ]
    return Confusions(reader.classes, tuple(matrix for matrix in matrices if matrix), tuple(reader.notes))


@dataclass
class _Reader:
    """Reader of the matrices of runs, with notes on those that it could not read."""

    saved: SavedNetworks
    progress: Progress
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def read(self, run: Finished) -> np.ndarray:
        """Return the matrix that the run recorded if it fits the recorded accuracy, else evaluate its weights.

        Raises:
            NormbenchError: It has no usable weights, its code may not run, or its data set is not available.
        """
        kept = read_confusion(run.path)
        if kept is not None and kept.accuracy == run.result.test_accuracy and self.classes in ((), kept.classes):
            self.classes = kept.classes
            return np.array(kept.counts, dtype=np.int64)
        self.progress(f"evaluating the weights of {run.path.name}")
        self.classes, counts = self.saved.evaluator.confusion(run)
        return counts


def _confusion(series: Series, runs: Sequence[Finished], reader: _Reader) -> Confusion | None:
    matrices: list[np.ndarray] = []
    failed: dict[str, list[int]] = {}
    gaps = [0.0]
    for run in runs:
        try:
            matrices.append(reader.read(run))
        except NormbenchError as error:
            failed.setdefault(error.message, []).append(run.result.seed)
        else:
            gaps.append(abs(_accuracy(matrices[-1]) - (run.result.test_accuracy or 0.0)))
    label = series.label
    reader.notes += [
        f"{label} (seed {', '.join(map(str, seeds))}) has no recorded counts that fit its accuracy, and could not be "
        f"evaluated again: {reason}."
        for reason, seeds in failed.items()
    ]
    if max(gaps) > 0:
        reader.notes.append(
            f"{label}: evaluated here, test accuracies are up to {100 * max(gaps):.2f} pp off the recorded ones, as "
            "another device or version may be."
        )
    if not matrices:
        return None
    per_class = zip(*(recall_per_class(matrix) for matrix in matrices), strict=True)
    estimates = tuple(estimate([value for value in values if value is not None]) for values in per_class)
    return Confusion(series, np.sum(matrices, axis=0), estimates)


def _accuracy(matrix: np.ndarray) -> float:
    return int(matrix.trace()) / int(matrix.sum())


def classes_plot(classes: Sequence[str], matrices: Sequence[Confusion]) -> Plot:
    """Plot the test accuracy on each class, one marker per norm."""
    with drawing():
        figure, axes = new_figure(1.3 + 0.34 * len(classes))
        for index, matrix in enumerate(matrices):
            series, shift = matrix.series, 0.7 * ((index + 0.5) / len(matrices) - 0.5)
            style = series_style(series.index) | {"linestyle": "none", "markersize": 7, "label": short(series.label)}
            means = [np.nan if estimate is None else estimate.mean for estimate in matrix.per_class]
            axes.plot(means, np.arange(len(classes)) + shift, **style)
        for index in range(0, len(classes), 2):
            axes.axhspan(index - 0.5, index + 0.5, color=FAINT, alpha=0.08, linewidth=0)
        axes.grid(axis="y", visible=False)
        axes.set_yticks(range(len(classes)), list(classes))
        axes.set_ylim(len(classes) - 0.5, -0.5)
        keep_within(axes, "x", 0, 1)
        axes.xaxis.set_major_formatter(FuncFormatter(percents))
        axes.set_xlabel("test accuracy on the class")
        legend(axes)
        ends = "; ".join(_extremes(classes, matrix) for matrix in matrices)
        return export_plot(figure, "per-class", "Test accuracy by class", f"{ends}. The table below has every figure.")


def _extremes(classes: Sequence[str], matrix: Confusion) -> str:
    means = {name: mean.mean for name, mean in zip(classes, matrix.per_class, strict=True) if mean is not None}
    worst, best = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    ends = f"best on {best} ({percent(means[best])}), worst on {worst} ({percent(means[worst])})"
    return f"{matrix.series.label}: {ends}"


def confusion_plot(classes: Sequence[str], matrix: Confusion) -> Plot:
    """Plot a confusion matrix, each row scaled to 100 images of its true class."""
    shares = matrix.counts / np.maximum(1, matrix.counts.sum(axis=1, keepdims=True))
    with drawing():
        figure, axes = new_figure(4.6)
        cells = [Rectangle((column - 0.48, row - 0.5), 0.96, 1) for row, column in np.ndindex(shares.shape)]
        colours = [to_rgba(HEAT, DARKEST * float(share) ** 0.5) for share in shares.flat]
        axes.add_collection(PatchCollection(cells, facecolors=colours, linewidths=0))
        for (row, column), share in np.ndenumerate(shares):
            if round(100 * share):
                weight = "bold" if row == column else "normal"
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=9.5, weight=weight)
        _class_axes(axes, classes)
        title = f"{matrix.series.label}: predictions for 100 images of each class"
        return export_plot(figure, f"confusion-{matrix.series.index + 1}", title, f"{_mistaken(classes, shares)}.")


def _class_axes(axes: Axes, classes: Sequence[str]) -> None:
    ticks, names = range(len(classes)), [name[:10] for name in classes]
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelsize=10)
    turned = max(map(len, names)) > 2
    axes.set_xticks(ticks, names, rotation=45 if turned else 0, ha="right" if turned else "center")
    axes.set_yticks(ticks, names)
    axes.set_xlim(-0.5, len(classes) - 0.5)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def _mistaken(classes: Sequence[str], shares: np.ndarray) -> str:
    """Three most frequent mistakes in words."""
    wrong = shares * (1 - np.eye(len(classes)))
    most = [divmod(int(index), len(classes)) for index in np.argsort(-wrong, axis=None, kind="stable")[:3]]
    pairs = [f"{classes[row]} for {classes[column]} ({percent(float(shares[row, column]))})" for row, column in most]
    return f"Most often mistaken: {', '.join(pairs)}"
