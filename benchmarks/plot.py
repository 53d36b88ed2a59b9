"""Figure of the results: a bar per contender, and below it panels of the curves and of the cost of each norm."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.contenders import RUN_GROUP, SINGLE_RUN
from benchmarks.records import Contender, NormCost, Point, Results, Spread
from normbench.report.figure import FAINT, SERIES, drawing, export_plot, series_style

WIDTH, BARS, PANEL = 10.0, 0.5, 2.9
"""Inches: width of the figure, height of a bar, and height of a row of panels."""


def draw(results: Results, path: Path) -> list[Path]:
    """Write the figure as SVG and PNG, and return the files; `path` is without suffix."""
    measured = [contender for contender in results.contenders if contender.images_per_second]
    curves = [
        ("batch size", results.batch_sizes),
        ("runs of one norm", results.runs),
        ("norms", results.norms),
    ]
    panels = [(_curve, (title, points)) for title, points in curves if points]
    panels += [(_costs, (results.norm_costs,))] if results.norm_costs else []
    if not measured and not panels:
        return []
    rows = (len(panels) + 1) // 2
    heights = [1.0 + BARS * len(measured)] * bool(measured) + [PANEL] * rows
    with drawing():
        figure = Figure(figsize=(WIDTH, sum(heights)))
        parts = list(np.ravel(figure.subfigures(len(heights), 1, height_ratios=heights)))
        if measured:
            _bars(parts.pop(0).add_subplot(title=results.conditions["device"]), measured)
        for row, part in enumerate(parts):
            for axes, (draw_panel, arguments) in zip(part.subplots(1, 2), panels[2 * row : 2 * row + 2], strict=False):
                draw_panel(axes, *arguments)
            if len(panels) < 2 * row + 2:
                part.axes[1].set_axis_off()
        title = f"Images per second on {results.conditions['device']}"
        plot = export_plot(figure, "benchmark", title, _description(measured))
    svg, png = path.with_suffix(".svg"), path.with_suffix(".png")
    svg.write_text(plot.svg, encoding="utf-8")
    png.write_bytes(plot.png)
    return [svg, png]


def _description(measured: Sequence[Contender]) -> str:
    speeds = [(contender.title, contender.images_per_second) for contender in measured]
    return "; ".join(f"{title}: {speed.median:,.0f}" for title, speed in speeds if speed)


def _bars(axes: Axes, measured: Sequence[Contender]) -> None:
    """Draw medians with their ranges, the first contender on top."""
    for index, contender in enumerate(measured):
        speed = contender.images_per_second
        assert speed, "only measured contenders are drawn"
        colour = SERIES[0] if contender.name in {SINGLE_RUN, RUN_GROUP} else FAINT
        axes.barh(index, speed.median, color=colour, height=0.62, xerr=_errors([speed]), ecolor=SERIES[1], capsize=3)
        axes.annotate(
            f" {speed.median:,.0f}", (speed.high, index), va="center", xytext=(4, 0), textcoords="offset points"
        )
    axes.set_yticks(range(len(measured)), list(map(_label, measured)))
    axes.set_ylim(len(measured) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("training images per second, all runs together")


def _label(contender: Contender) -> str:
    runs = f" ({contender.runs})" if contender.name == RUN_GROUP else ""
    return contender.title.replace("`", "").replace(": ", ":\n").replace("loop, ", "loop,\n") + runs


def _curve(axes: Axes, title: str, points: Sequence[Point]) -> None:
    for index, name in enumerate(dict.fromkeys(point.series for point in points)):
        series = [point for point in points if point.series == name]
        speeds = [point.images_per_second for point in series]
        medians = [speed.median for speed in speeds]
        axes.errorbar(
            [point.x for point in series], medians, yerr=_errors(speeds), capsize=3, label=name, **series_style(index)
        )
    if title == "batch size":
        axes.set_xscale("log", base=2)
    axes.set(xlabel=title, ylabel="images per second")
    xs = list(dict.fromkeys(point.x for point in points))
    axes.set_xticks(xs, list(map(str, xs)))
    axes.set_ylim(0, 1.1 * max(point.images_per_second.high for point in points))
    _legend(axes)


def _costs(axes: Axes, costs: Sequence[NormCost]) -> None:
    forward = [cost.forward_milliseconds.median for cost in costs]
    backward = [cost.backward_milliseconds.median for cost in costs]
    axes.bar(range(len(costs)), forward, color=SERIES[0], label="forward")
    axes.bar(range(len(costs)), backward, bottom=forward, color=SERIES[1], label="backward")
    axes.set_xticks(range(len(costs)), [cost.norm for cost in costs], rotation=30)
    axes.set(xlabel="norm", ylabel="ms per step, all layers")
    _legend(axes)


def _errors(speeds: Sequence[Spread]) -> list[list[float]]:
    return [[speed.median - speed.low for speed in speeds], [speed.high - speed.median for speed in speeds]]


def _legend(axes: Axes) -> None:
    """Add the legend of one of several axes above it."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handlelength=2.6)
