"""The plots of where norms err: accuracy by class, and what is taken for what."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from normbench.analysis.format import percent
from normbench.report.confusion import Confusion
from normbench.report.figure import FAINT, HEAT, Plot, blank, drawing, finish, legend, look, percents, short

DARKEST = 0.45
"""Greatest opacity of a cell of the confusion matrix: never so dark that the ink on it could not be read."""


def classes_plot(classes: Sequence[str], confusions: Sequence[Confusion]) -> Plot:
    """Test accuracy on each class, the norms side by side."""
    with drawing():
        figure, axes = blank(1.3 + 0.34 * len(classes))
        for place, one in enumerate(confusions):
            shift = 0.7 * ((place + 0.5) / len(confusions) - 0.5)
            style = look(one.series.index) | {"linestyle": "none", "markersize": 7, "label": short(one.series.label)}
            means = [np.nan if estimate is None else estimate.mean for estimate in one.per_class]
            axes.plot(means, np.arange(len(classes)) + shift, **style)
        for place in range(0, len(classes), 2):
            axes.axhspan(place - 0.5, place + 0.5, color=FAINT, alpha=0.08, linewidth=0)
        axes.grid(axis="y", visible=False)
        axes.set_yticks(range(len(classes)), list(classes))
        axes.set_ylim(len(classes) - 0.5, -0.5)
        axes.xaxis.set_major_formatter(FuncFormatter(percents))
        axes.set_xlabel("test accuracy on the class")
        legend(axes)
        said = "; ".join(_extremes(classes, one) for one in confusions)
        return finish(figure, "per-class", "Test accuracy by class", f"{said}. The table below has every figure.")


def _extremes(classes: Sequence[str], one: Confusion) -> str:
    means = {name: found.mean for name, found in zip(classes, one.per_class, strict=True) if found is not None}
    worst, best = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    ends = f"best on {best} ({percent(means[best])}), worst on {worst} ({percent(means[worst])})"
    return f"{one.series.label}: {ends}"


def confusion_plot(classes: Sequence[str], one: Confusion) -> Plot:
    """Of every 100 images of a true class (row), how many were taken for each class (column)."""
    shares = one.counts / np.maximum(1, one.counts.sum(axis=1, keepdims=True))
    with drawing():
        figure, axes = blank(4.6)
        for (row, column), share in np.ndenumerate(shares):
            axes.bar(column, 1, 0.96, row - 0.5, color=HEAT, alpha=DARKEST * float(share) ** 0.5, linewidth=0)
            if round(100 * share):
                weight = "bold" if row == column else "normal"
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=9.5, weight=weight)
        _class_axes(axes, classes)
        title = f"{one.series.label}: decisions on 100 images of each class"
        return finish(figure, f"confusion-{one.series.index + 1}", title, f"{_mistaken(classes, shares)}.")


def _class_axes(axes: Axes, classes: Sequence[str]) -> None:
    places, names = range(len(classes)), [name[:10] for name in classes]
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelsize=10)
    turned = max(map(len, names)) > 2
    axes.set_xticks(places, names, rotation=45 if turned else 0, ha="right" if turned else "center")
    axes.set_yticks(places, names)
    axes.set_xlim(-0.5, len(classes) - 0.5)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_xlabel("taken for")
    axes.set_ylabel("true class")


def _mistaken(classes: Sequence[str], shares: np.ndarray) -> str:
    """The three most frequent mistakes in words."""
    wrong = shares * (1 - np.eye(len(classes)))
    most = [divmod(int(place), len(classes)) for place in np.argsort(-wrong, axis=None, kind="stable")[:3]]
    said = [f"{classes[row]} for {classes[column]} ({percent(float(shares[row, column]))})" for row, column in most]
    return f"Most often mistaken: {', '.join(said)}"
