"""Accuracies and their paired differences as plots."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from normbench.analysis import Comparison, Estimate, PairedDifference, Series
from normbench.analysis.format import accuracy
from normbench.analysis.tables import joint_points
from normbench.report.figure import (
    INK,
    Plot,
    drawing,
    export_plot,
    keep_within,
    new_figure,
    percents,
    series_style,
    short,
)

ROW = 0.46
"""Inches per norm."""
ABOVE = 0.24
"""Distance of the points of the seeds above the mean of their norm, in rows."""


def accuracies_figure(comparison: Comparison) -> Figure:
    """Draw test accuracies (in a search: validation accuracies) by norm; inside `drawing()`."""
    series = comparison.shown
    figure, axes = new_figure(0.9 + ROW * len(series))
    for y, entry in enumerate(series):
        _accuracies(axes, y, entry, _values(comparison, entry), _mean(comparison, entry))
    axes.set_yticks(range(len(series)), [short(entry.label, 20) for entry in series])
    axes.set_ylim(len(series) - 0.5, -0.6)
    axes.grid(axis="y", visible=False)
    keep_within(axes, "x", 0, 1)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(percents))
    axes.set_xlabel(f"{_split(comparison)} accuracy")
    return figure


def accuracies_plot(comparison: Comparison) -> Plot | None:
    """Plot the accuracy of every seed, with mean and 95 % interval per norm; None where none was measured."""
    if not any(_values(comparison, entry) for entry in comparison.shown):
        return None
    means = "; ".join(f"{entry.label}: {_described(comparison, entry)}" for entry in comparison.shown)
    most = max(len(entry.done) for entry in comparison.shown)
    parts = "a point per seed" + ("" if most == 1 else " and the mean" if most == 2 else ", mean and 95 % interval")
    best = ", at the best setting of the search" if comparison.searching else ""
    title = f"{_split(comparison).capitalize()} accuracy{best}: {parts}"
    with drawing():
        return export_plot(accuracies_figure(comparison), "accuracies", title, f"{means}.")


def _split(comparison: Comparison) -> str:
    return "validation" if comparison.searching else "test"


def _values(comparison: Comparison, series: Series) -> list[float]:
    name = f"{_split(comparison)}_accuracy"
    return [value for result in series.done if (value := getattr(result, name)) is not None]


def _mean(comparison: Comparison, series: Series) -> Estimate | None:
    return series.row.validation_accuracy if comparison.searching else series.row.test_accuracy


def _described(comparison: Comparison, series: Series) -> str:
    return accuracy(_mean(comparison, series), series.row.diverged, series.row.runs)


def _accuracies(axes: Axes, y: int, series: Series, values: Sequence[float], mean: Estimate | None) -> None:
    """Draw the seeds of a norm above its mean; a norm with a diverged run has no mean, and its points are hollow."""
    style = series_style(series.index) | {"linestyle": "none", "clip_on": False}
    is_complete = mean is not None
    filled = {} if is_complete else {"markerfacecolor": "none"}
    axes.plot(values, [y - (ABOVE if len(values) > 1 or not is_complete else 0)] * len(values), **style | filled)
    if series.row.diverged:
        axes.text(0.99, y, f"{series.row.diverged} of {series.row.runs} diverged", ha="right", va="center",
                  transform=axes.get_yaxis_transform(), color=INK, fontsize=10)  # fmt: skip
    if mean is None or mean.n < 2:
        return
    axes.plot([mean.mean] * 2, [y - 0.12, y + 0.12], color=style["color"], linewidth=3, clip_on=False)
    if mean.low is not None and mean.high is not None and not mean.is_pair:
        ends = [[mean.mean - mean.low], [mean.high - mean.mean]]
        axes.errorbar(mean.mean, y, xerr=ends, color=style["color"], capsize=5, linewidth=1.8)


def differences_plot(differences: Sequence[PairedDifference], indices: dict[str, int]) -> Plot:
    """Plot the mean paired differences to the control over several seeds, with their intervals, against zero.

    The intervals hold for all pairs of norms together; the verdict stands beside each. For two seeds, and where there
    is no spread, the values are drawn instead.

    Args:
        differences: Pairs to draw, each over two seeds or more.
        indices: Index of each norm among the colours.
    """
    control = differences[0].control
    with drawing():
        figure, axes = new_figure(0.9 + ROW * len(differences))
        axes.axvline(0, color=INK, linewidth=1.2)
        for y, pair in enumerate(differences):
            _interval(axes, y, pair, indices[pair.norm])
            axes.annotate(pair.verdict, (1, y), xytext=(8, 0), xycoords=axes.get_yaxis_transform(),
                          textcoords="offset points", va="center", fontsize=10,
                          weight="bold" if pair.separated else "normal")  # fmt: skip
        axes.set_yticks(range(len(differences)), [short(pair.norm, 20) for pair in differences])
        axes.set_ylim(len(differences) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        keep_within(axes, "x", -100, 100)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.set_xlabel("difference of test accuracy, in points")
        values = "; ".join(f"{pair.norm}: {joint_points(pair)}, {pair.verdict}" for pair in differences)
        return export_plot(
            figure,
            "differences",
            f"Paired differences to {control}, with 95 % intervals that hold together",
            f"{values}. Zero: no difference.",
        )


def _interval(axes: Axes, y: int, pair: PairedDifference, index: int) -> None:
    difference = pair.difference
    assert difference is not None, "only differences over several seeds are drawn"
    style = series_style(index) | {"linestyle": "none", "markersize": 8}
    if difference.is_pair or pair.high is None:
        axes.plot(100 * np.array(difference.values), [y] * difference.n, **style)
        return
    axes.errorbar(100 * difference.mean, y, xerr=100 * (pair.high - difference.mean), capsize=5, **style)
