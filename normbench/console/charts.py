"""Charts in the terminal: lines by plotext, bars as rows of a table; legible without colour."""

import math
from collections.abc import Iterator
from itertools import cycle

import plotext
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from normbench.analysis import Chart, Line

WIDTH, HEIGHT, BAR = 90, 20, 40
RICH_COLOURS = ("blue", "yellow", "green", "magenta", "red", "cyan", "bright_black", "white")
COLOURS = ("blue", "orange", "green", "magenta", "red", "cyan", "gray", "white")
MARKS = "ox+*#@%&"
LOST = "X"
"""At the foot of a chart, where a run diverged or failed."""
MOST_TICKS = 12


def chart_picture(chart: Chart) -> RenderableType:
    """A chart as text, with its title; a line is told by its mark as well as by its colour."""
    title = Text(f"\n{chart.title}", style="bold")
    if chart.kind == "bars":
        return Group(title, _bars(chart))
    return Group(title, _legend(chart), Text.from_ansi(_lines(chart)))


def _legend(chart: Chart) -> Text:
    """Above the plot, where it hides no line."""
    named = [Text(f"{mark} {line.label}", colour) for (mark, colour), line in zip(_looks(), chart.lines, strict=False)]
    lost = [f"{line.label} at {', '.join(chart.place(x) for x in line.lost)}" for line in chart.lines if line.lost]
    return Text("   ").join([*named, *([Text(f"{LOST} not finished: {'; '.join(lost)}")] if lost else [])])


def _looks() -> Iterator[tuple[str, str]]:
    """Mark and colour, as rich names it, of the first line, the second, ..."""
    return zip(cycle(MARKS), cycle(RICH_COLOURS), strict=False)


def _lines(chart: Chart) -> str:
    """Drawn by plotext, which keeps one figure for the whole process: it is cleared before and after."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(WIDTH, HEIGHT)
    for index, line in enumerate(chart.lines):
        _line(chart, line, index)
    if chart.reference is not None:
        plotext.hline(_height(chart, chart.reference), "gray")
    _mark_lost(chart)
    _axes(chart)
    drawn = str(plotext.build())
    plotext.clear_figure()
    return drawn


def _line(chart: Chart, line: Line, index: int) -> None:
    points = [(_place(chart, x), _height(chart, y)) for x, y in zip(line.x, line.y, strict=True) if _shown(chart, y)]
    if not points:
        return
    xs, ys = zip(*points, strict=True)
    mark, colour = MARKS[index % len(MARKS)], COLOURS[index % len(COLOURS)]
    plotext.plot(xs, ys, marker="braille", color=colour)
    plotext.scatter(xs, ys, marker=mark, color=colour)


def _mark_lost(chart: Chart) -> None:
    """Below every point, a step for each line, so that no mark hides another."""
    heights = [_height(chart, y) for line in chart.lines for y in line.y if _shown(chart, y)] or [0.0]
    step = (max(heights) - min(heights) or 1.0) / 12
    losing = [(index, line) for index, line in enumerate(chart.lines) if line.lost]
    for place, (index, line) in enumerate(losing, 1):
        xs = [_place(chart, x) for x in line.lost]
        plotext.scatter(xs, [min(heights) - place * step] * len(xs), marker=LOST, color=COLOURS[index % len(COLOURS)])


def _shown(chart: Chart, y: float | None) -> bool:
    return y is not None and math.isfinite(y) and (y > 0 or not chart.log_y)


def _place(chart: Chart, x: float) -> float:
    return math.log10(x) if chart.log_x else x


def _height(chart: Chart, y: float | None) -> float:
    assert y is not None, "only measured points are drawn"
    return math.log10(y) if chart.log_y else 100 * y if chart.percent else y


def _axes(chart: Chart) -> None:
    plotext.xlabel(chart.x_label)
    plotext.ylabel(f"{chart.y_label} (%)" if chart.percent else chart.y_label)
    xs = sorted({x for line in chart.lines for x in line.x})
    if chart.ticks:
        plotext.xticks(range(len(chart.ticks)), list(chart.ticks))
    elif len(xs) <= MOST_TICKS:
        plotext.xticks([_place(chart, x) for x in xs], [f"{x:g}" for x in xs])
    elif not chart.log_x and all(x.is_integer() for x in xs):
        places = _round_places(xs[0], xs[-1])
        plotext.xticks(places, [f"{place:g}" for place in places])
    if chart.log_y:
        _decades(chart)


def _round_places(low: float, high: float) -> list[float]:
    """Every fifth, tenth, ... whole number, so that there are a handful of them."""
    step = next(step for step in (5 * 2**power for power in range(64)) if (high - low) / step <= MOST_TICKS)
    return [float(place) for place in range(step * math.ceil(low / step), math.floor(high) + 1, step)]


def _decades(chart: Chart) -> None:
    """Ticks at powers of ten: the axis itself is drawn in logarithms."""
    ys = [math.log10(y) for line in chart.lines for y in line.y if y is not None and _shown(chart, y)]
    if not ys:
        return
    low, high = math.floor(min(ys)), math.ceil(max(ys))
    step = max(1, (high - low) // 8)
    places = range(low, high + 1, step)
    plotext.yticks(list(places), [f"1e{place}" if abs(place) > 3 else f"{10.0**place:g}" for place in places])


def _bars(chart: Chart) -> Table:
    """A row for each bar: its name, its length, its figure; a mark stands where the reference level is."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(4):
        table.add_column(no_wrap=True)
    values = [y for line in chart.lines for y in line.y if y is not None and _shown(chart, y)]
    scale = _scale(chart, values)
    for place, tick in enumerate(chart.ticks):
        for index, line in enumerate(chart.lines):
            y = dict(zip(line.x, line.y, strict=True)).get(place)
            name = line.label if len(chart.lines) > 1 else ""
            bar = Text(_bar(chart, scale, y), RICH_COLOURS[index % len(RICH_COLOURS)])
            table.add_row(tick if not index else "", name, bar, _figure(chart, y))
    return table


def _scale(chart: Chart, values: list[float]) -> tuple[float, float]:
    """The heights where a bar has no length, and its full length."""
    heights = [_height(chart, y) for y in values + ([] if chart.reference is None else [chart.reference])]
    top = max(heights, default=1.0)
    return (math.floor(min(heights, default=0.0)) - 1.0 if chart.log_y else min(0.0, *heights, 0.0)), top


def _bar(chart: Chart, scale: tuple[float, float], y: float | None) -> str:
    if not _shown(chart, y):
        return "-"
    low, high = scale
    share = (_height(chart, y) - low) / ((high - low) or 1.0)
    bar = "█" * max(1, round(BAR * share))
    if chart.reference is None:
        return bar
    mark = round(BAR * (_height(chart, chart.reference) - low) / ((high - low) or 1.0))
    return bar.ljust(mark) + "|" if len(bar) <= mark else f"{bar[:mark]}|{bar[mark + 1 :]}"


def _figure(chart: Chart, y: float | None) -> str:
    if y is None:
        return "not measured"
    return f"{100 * y:.2f} %" if chart.percent else f"{y:.3g}"
