"""Charts of a study as plots. The data are those that the terminal shows."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from normbench.analysis import Chart, Line
from normbench.report.figure import (
    FAINT,
    INK,
    Plot,
    drawing,
    export_plot,
    keep_within,
    legend,
    new_figure,
    percents,
    series_style,
    series_styles,
    short,
)
from normbench.report.rank_diagram import draw_ranks, height_of

MOST_TICKS = 12
MOST_MARKS = 8
MOST_CHARACTERS = 46
"""Length of all labels of a horizontal axis up to which they stand upright."""


def chart_plot(chart: Chart) -> Plot:
    """Draw a chart; its description gives the first and the last measured point of every line."""
    with drawing():
        if chart.kind == "bars":
            figure, axes = new_figure(1.2 + 0.2 * len(chart.ticks) * (len(chart.lines) + 1))
            _bars(axes, chart)
        elif chart.kind == "ranks":
            figure, axes = new_figure(height_of(chart))
            draw_ranks(axes, chart)
        else:
            figure, axes = new_figure(3.6)
            _lines(axes, chart)
        if len(chart.lines) > 1:
            legend(axes)
        return export_plot(
            figure, f"chart-{chart.name}", chart.title, f"{'; '.join(_described(chart, line) for line in chart.lines)}."
        )


def _lines(axes: Axes, chart: Chart) -> None:
    if chart.reference is not None:
        axes.axhline(chart.reference, color=FAINT, linestyle=(0, (2, 2)), linewidth=1)
    for line, drawn in zip(chart.lines, series_styles([line.group for line in chart.lines]), strict=True):
        thinned = max(1, len(line.x) // MOST_MARKS)
        axes.plot(line.x, _numbers(line.y), label=short(line.label), markevery=thinned, **drawn)
        if line.low and line.high:
            low, high = _numbers(line.low), _numbers(line.high)
            axes.fill_between(line.x, low, high, color=drawn["color"], alpha=0.16, linewidth=0)
    if chart.percent:
        keep_within(axes, "y", 0, 1)
    _mark_unfinished(axes, chart)
    if chart.log_x:
        axes.set_xscale("log")
        _mark_powers(axes.xaxis)
    _set_ticks(axes, chart)
    if chart.log_y:
        axes.set_yscale("log")
        _mark_powers(axes.yaxis)
    if chart.percent:  # below 0 % there are marks alone
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _position: percents(y) if y > -1e-9 else ""))
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)


def _mark_powers(axis: Axis) -> None:
    """Set ticks at some powers of ten, as plain numbers: the defaults are formulas, which are not drawn here."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(numticks=6) if high > 100 * low else LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _mark_unfinished(axes: Axes, chart: Chart) -> None:
    """Mark unfinished runs at the foot of the plot, one step per line, so that no mark hides another."""
    styles = series_styles([line.group for line in chart.lines])
    unfinished = [(style["color"], line) for style, line in zip(styles, chart.lines, strict=True) if line.unfinished]
    if unfinished:
        low, high = axes.get_ylim()
        axes.set_ylim(low - (high - low) * 0.07 * len(unfinished), high)
    for step, (colour, line) in enumerate(unfinished):
        axes.plot(
            line.unfinished, [0.03 + 0.06 * step] * len(line.unfinished), transform=axes.get_xaxis_transform(),
            label=f"{short(line.label, 20)} not finished", color=colour, marker="x", linestyle="none",
            markeredgewidth=2,
        )  # fmt: skip


def _set_ticks(axes: Axes, chart: Chart) -> None:
    """Set ticks at the measured points, if these are few enough to be legible."""
    xs = sorted({x for line in chart.lines for x in line.x})
    if chart.ticks:
        _label_ticks(axes, list(range(len(chart.ticks))), [short(tick, 20) for tick in chart.ticks])
    elif len(xs) <= MOST_TICKS:
        _label_ticks(axes, xs, [f"{x:g}" for x in xs])
        axes.xaxis.set_minor_locator(NullLocator())


def _label_ticks(axes: Axes, xs: Sequence[float], labels: Sequence[str]) -> None:
    """Set labelled ticks, turned where they would not fit side by side."""
    turned = sum(len(label) + 2 for label in labels) > MOST_CHARACTERS
    axes.set_xticks(xs, labels, rotation=45 if turned else 0, ha="right" if turned else "center",
                    rotation_mode="anchor" if turned else "default")  # fmt: skip


def _bars(axes: Axes, chart: Chart) -> None:
    """Draw horizontal bars, grouped by tick, the first tick on top."""
    height = 0.8 / len(chart.lines)
    for index, line in enumerate(chart.lines):
        positions = np.array(line.x) + (index - (len(chart.lines) - 1) / 2) * height
        values = _numbers(line.y)
        axes.barh(
            positions,
            values,
            height,
            label=short(line.label),
            color=series_style(index)["color"],
            xerr=_errors(line),
            ecolor=INK,
        )
    if chart.reference is not None:
        axes.axvline(chart.reference, color=FAINT, linestyle=(0, (2, 2)), linewidth=1.4)
    axes.set_yticks(range(len(chart.ticks)), [short(tick, 20) for tick in chart.ticks])
    axes.set_ylim(len(chart.ticks) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    if chart.log_y:
        axes.set_xscale("log")
        _mark_powers(axes.xaxis)
    if chart.percent:
        keep_within(axes, "x", 0, 1)
        axes.xaxis.set_major_formatter(FuncFormatter(percents))
    axes.set_xlabel(chart.y_label)


def _errors(line: Line) -> np.ndarray | None:
    if not (line.low and line.high):
        return None
    middle = _numbers(line.y)
    ends: np.ndarray = np.abs(np.stack([middle - _numbers(line.low), _numbers(line.high) - middle]))
    return ends


def _numbers(values: tuple[float | None, ...]) -> np.ndarray:
    """Convert to an array, with NaN where nothing was measured."""
    return np.array([math.nan if value is None else value for value in values])


def _described(chart: Chart, line: Line) -> str:
    unfinished = ", ".join(map(chart.tick_label, line.unfinished))
    return _measured(chart, line) + (f", not finished at {unfinished}" if unfinished else "")


def _measured(chart: Chart, line: Line) -> str:
    measured = [(x, y) for x, y in zip(line.x, line.y, strict=True) if y is not None]
    if not measured:
        return f"{line.label}: not measured"
    shown = measured if chart.ticks and chart.kind != "lines" else list(dict.fromkeys([measured[0], measured[-1]]))
    values = (f"{percents(y) if chart.percent else f'{y:.3g}'} at {chart.tick_label(x)}" for x, y in shown)
    return f"{line.label}: {', '.join(values)}"
