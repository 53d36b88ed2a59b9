"""The results as one picture: a bar a contender above, the curves and the cost of each norm in small panels below."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.contenders import ALONE, FLEET
from benchmarks.records import Contender, NormCost, Point, Results, Spread
from normbench.report.figure import FAINT, SERIES, drawing, finish, legend, look

WIDTH, BARS, PANEL = 10.0, 0.5, 2.9
"""Inches: of the picture, of one bar, and of a row of panels."""


def draw(results: Results, path: Path) -> list[Path]:
    """Write the picture as SVG and PNG beside each other; `path` has no ending. Returns the files."""
    measured = [one for one in results.contenders if one.images_per_second]
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
            for axes, (show, what) in zip(part.subplots(1, 2), panels[2 * row : 2 * row + 2], strict=False):
                show(axes, *what)
            if len(panels) < 2 * row + 2:
                part.axes[1].set_axis_off()
        title = f"Images per second on {results.conditions['device']}"
        plot = finish(figure, "benchmark", title, _description(measured))
    svg, png = path.with_suffix(".svg"), path.with_suffix(".png")
    svg.write_text(plot.svg, encoding="utf-8")
    png.write_bytes(plot.png)
    return [svg, png]


def _description(measured: Sequence[Contender]) -> str:
    return "; ".join(f"{one.title}: {one.images_per_second.median:,.0f}" for one in measured if one.images_per_second)


def _bars(axes: Axes, measured: Sequence[Contender]) -> None:
    """Medians with their ranges; the first contender on top."""
    for place, one in enumerate(measured):
        speed = one.images_per_second
        assert speed, "only measured contenders are drawn"
        colour = SERIES[0] if one.name in {ALONE, FLEET} else FAINT
        axes.barh(place, speed.median, color=colour, height=0.62, xerr=_errors([speed]), ecolor=SERIES[1], capsize=3)
        axes.annotate(
            f" {speed.median:,.0f}", (speed.high, place), va="center", xytext=(4, 0), textcoords="offset points"
        )
    axes.set_yticks(range(len(measured)), [_label(one) for one in measured])
    axes.set_ylim(len(measured) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("training images per second, all runs together")


def _label(one: Contender) -> str:
    runs = f" ({one.runs})" if one.name == FLEET else ""
    return one.title.replace("`", "").replace(": ", ":\n").replace("loop, ", "loop,\n") + runs


def _curve(axes: Axes, title: str, points: Sequence[Point]) -> None:
    for index, name in enumerate(dict.fromkeys(point.series for point in points)):
        own = [point for point in points if point.series == name]
        speeds = [point.images_per_second for point in own]
        medians = [speed.median for speed in speeds]
        axes.errorbar([p.x for p in own], medians, yerr=_errors(speeds), capsize=3, label=name, **look(index))
    if title == "batch size":
        axes.set_xscale("log", base=2)
    _name(axes, title, "images per second")
    axes.set_xticks(
        list(dict.fromkeys(point.x for point in points)), [str(x) for x in dict.fromkeys(p.x for p in points)]
    )
    axes.set_ylim(0, 1.1 * max(point.images_per_second.high for point in points))
    legend(axes)


def _costs(axes: Axes, costs: Sequence[NormCost]) -> None:
    forward = [one.forward_milliseconds.median for one in costs]
    backward = [one.backward_milliseconds.median for one in costs]
    axes.bar(range(len(costs)), forward, color=SERIES[0], label="forward")
    axes.bar(range(len(costs)), backward, bottom=forward, color=SERIES[1], label="backward")
    axes.set_xticks(range(len(costs)), [one.norm for one in costs], rotation=30)
    _name(axes, "norm", "ms a step, all its layers")
    legend(axes)


def _name(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _errors(speeds: Sequence[Spread]) -> list[list[float]]:
    return [[one.median - one.low for one in speeds], [one.high - one.median for one in speeds]]
