"""Training curves of an experiment as plots."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from normbench.analysis import Series
from normbench.analysis.format import percent
from normbench.report.figure import (
    FAINT,
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
from normbench.training import EpochRow


@dataclass(frozen=True)
class Curve:
    """Measure of an epoch to draw."""

    name: str
    title: str
    value: Callable[[EpochRow], float | None]
    is_accuracy: bool


CURVES = (
    Curve("train-accuracy", "Running train accuracy", lambda row: row.train_running_accuracy, True),
    Curve("train-loss", "Running train loss", lambda row: row.train_running_loss, False),
    Curve("validation-accuracy", "Validation accuracy", lambda row: row.validation_accuracy, True),
    Curve("validation-loss", "Validation loss", lambda row: row.validation_loss, False),
)


def curve_plot(curve: Curve, series: Sequence[Series], rows: dict[str, list[list[EpochRow]]]) -> Plot | None:
    """Plot one measure by epoch: mean over seeds and band from lowest to highest; None where not measured.

    Args:
        curve: Measure to draw.
        series: One line each.
        rows: By label, the epochs of each finished run.
    """
    values = {
        entry.label: np.array([[curve.value(row) for row in run] for run in rows[entry.label]]) for entry in series
    }
    measured = [entry for entry in series if values[entry.label].size and None not in values[entry.label]]
    if not measured:
        return None
    with drawing():
        figure, axes = new_figure(3.3)
        for epoch in lr_steps([run for entry in measured for run in rows[entry.label]]):
            axes.axvline(epoch - 0.5, color=FAINT, linestyle=(0, (2, 2)), linewidth=1)
        for entry in measured:
            _line(axes, entry, values[entry.label].astype(float))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        if curve.is_accuracy:
            keep_within(axes, "y", 0, 1)
            axes.yaxis.set_major_formatter(FuncFormatter(percents))
        legend(axes)
        ends = "; ".join(_ends(entry.label, values[entry.label], curve.is_accuracy) for entry in measured)
        return export_plot(figure, f"curve-{curve.name}", f"{curve.title} by epoch", f"{ends}.")


def _line(axes: Axes, series: Series, values: np.ndarray) -> None:
    """Draw the mean of values (runs, epochs), with a band from the lowest to the highest run if there are several."""
    epochs = np.arange(1, values.shape[1] + 1)
    style = series_style(series.index)
    axes.plot(epochs, values.mean(axis=0), label=short(series.label), **style)
    if len(values) > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.16, linewidth=0)


def _ends(label: str, values: np.ndarray, is_accuracy: bool) -> str:
    first, last = values.astype(float).mean(axis=0)[[0, -1]]
    shown = [percent(float(value)) if is_accuracy else f"{value:.3f}" for value in (first, last)]
    return f"{label}: {shown[0]} after epoch 1, {shown[1]} after epoch {values.shape[1]}"


def lr_steps(runs: Sequence[Sequence[EpochRow]]) -> list[int]:
    """Epochs that begin with another learning rate; empty for a schedule that changes it in every epoch."""
    changes = {b.epoch for rows in runs for a, b in pairwise(rows) if a.lr != b.lr}
    longest = max((len(rows) for rows in runs), default=0)
    return sorted(changes) if len(changes) < longest - 1 or longest == 2 else []
