"""Charts in the terminal: lines by plotext, bars and ranks as rows of text; legible without colour."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import plotext
import rich.text
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult

from normbench.analysis import Chart, Line
from normbench.console.text import Text
from normbench.text import visible

WIDTH, HEIGHT, BAR = 90, 20, 40
SHORTEST_BAR = 10
COLOURS = (33, 166, 29, 163, 160, 31, 98, 94)
"""Colours of a terminal of 256, each with a contrast of 3 and more on white and on black."""
FAINT = 244
RICH_COLOURS = tuple(f"color({colour})" for colour in COLOURS)
MARKS = "ox+*#@%&"
FAILED = "X"
"""Mark at the foot of a chart for a run that diverged or failed."""
MOST_TICKS, MOST_Y_TICKS = 12, 6
AXIS_ROWS = 4
"""Rows of a chart that are no heights: frame, ticks and label."""
SLACK = 1e-9
"""Tolerance, in ticks, for what a division leaves behind."""


@dataclass(frozen=True)
class ChartPicture:
    """Chart as text with its title, as wide as the terminal allows; lines differ in mark and colour."""

    chart: Chart

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Render lines by plotext, bars and ranks as rows of text."""
        chart = self.chart
        yield Text(f"\n{chart.title}", style="bold")
        if chart.kind == "bars":
            yield _bars(chart, options.max_width)
        elif chart.kind == "ranks":
            yield _ranks(chart)
        else:
            yield _legend(chart)
            yield rich.text.Text.from_ansi(_lines(chart, min(WIDTH, options.max_width)))


def chart_picture(chart: Chart) -> RenderableType:
    """Make a chart for the terminal, with control characters in its names escaped."""
    escaped = {
        "lines": tuple(line.model_copy(update={"label": visible(line.label, lines=False)}) for line in chart.lines),
        "ticks": tuple(visible(tick, lines=False) for tick in chart.ticks),
    }
    return ChartPicture(chart.model_copy(update=escaped))


def _legend(chart: Chart) -> RenderableType:
    """Lay out marks and names of the lines, and the values of x at which runs did not finish."""
    named = [Text(f"{mark} {line.label}", colour) for (mark, colour), line in zip(_styles(), chart.lines, strict=False)]
    unfinished = [
        f"{line.label} at {', '.join(chart.tick_label(x) for x in line.unfinished)}"
        for line in chart.lines
        if line.unfinished
    ]
    if unfinished:
        named.append(Text(f"{FAILED} not finished: {'; '.join(unfinished)}"))
    return Text("   ").join(named)


def _styles() -> Iterator[tuple[str, str]]:
    """Iterate over marks and colours of the lines, colours as rich names them."""
    return zip(cycle(MARKS), cycle(RICH_COLOURS), strict=False)


def _lines(chart: Chart, width: int) -> str:
    """Draw by plotext, which has one figure per process, cleared here before and after."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(width, HEIGHT)
    if chart.reference is not None:
        plotext.hline(_y_position(chart, chart.reference), FAINT)
    for index, line in enumerate(chart.lines):
        if points := _points(chart, line):
            plotext.plot(*zip(*points, strict=True), marker="braille", color=_colour(index))
    for index, points in _marks(chart):  # above all lines
        plotext.scatter(*zip(*points, strict=True), marker=MARKS[index % len(MARKS)], color=_colour(index))
    _mark_failed(chart)
    _axes(chart)
    text = str(plotext.build())
    plotext.clear_figure()
    return text


def _colour(index: int) -> int:
    return COLOURS[index % len(COLOURS)]


def _points(chart: Chart, line: Line) -> list[tuple[float, float]]:
    """Positions of the measured points of a line."""
    measured = ((x, y) for x, y in zip(line.x, line.y, strict=True) if _is_drawn(chart, y))
    return [(_x_position(chart, x), _y_position(chart, y)) for x, y in measured]


def _marks(chart: Chart) -> list[tuple[int, list[tuple[float, float]]]]:
    """Points at which each line has its mark, by index of the line.

    Lines that meet in a point would hide each other's marks: they take turns, from point to point.
    """
    points = [dict(_points(chart, line)) for line in chart.lines]
    low, high = _y_limits(chart)
    row = (high - low) / (HEIGHT - AXIS_ROWS)
    marks: list[list[tuple[float, float]]] = [[] for _ in points]
    for turn, x in enumerate(sorted({x for line in points for x in line})):
        meeting: dict[int, list[int]] = {}
        for index, line in enumerate(points):
            if x in line:
                meeting.setdefault(round((line[x] - low) / row), []).append(index)
        for indices in meeting.values():
            chosen = indices[turn % len(indices)]
            marks[chosen].append((x, points[chosen][x]))
    return [(index, line) for index, line in enumerate(marks) if line]


def _mark_failed(chart: Chart) -> None:
    """Mark failures below all points, one level per line, so that no mark hides another."""
    for (index, line), height in zip(_unfinished(chart), _failed_heights(chart), strict=True):
        xs = [_x_position(chart, x) for x in line.unfinished]
        plotext.scatter(xs, [height] * len(xs), marker=FAILED, color=_colour(index))


def _unfinished(chart: Chart) -> list[tuple[int, Line]]:
    return [(index, line) for index, line in enumerate(chart.lines) if line.unfinished]


def _failed_heights(chart: Chart) -> list[float]:
    """Heights of the marks of failures, one per line that has some."""
    heights = _heights(chart)
    step = (max(heights) - min(heights) or 1.0) / 12
    return [min(heights) - level * step for level in range(1, len(_unfinished(chart)) + 1)]


def _heights(chart: Chart) -> list[float]:
    """Heights of all points and of the reference."""
    values = [y for line in chart.lines for y in line.y if _is_drawn(chart, y)]
    return [_y_position(chart, y) for y in [*values, *([chart.reference] if chart.reference is not None else [])]] or [
        0.0
    ]


def _y_limits(chart: Chart) -> tuple[float, float]:
    """Heights of the foot and the top of the drawing."""
    heights, ticks = [*_heights(chart), *_failed_heights(chart)], _y_ticks(chart)
    if chart.log_y or min(heights) == max(heights):
        return min(*heights, *ticks), max(*heights, *ticks)
    return min(heights), max(heights)


def _y_ticks(chart: Chart) -> list[float]:
    """Heights of the ticks: round numbers, or powers of ten around everything where heights are logarithms."""
    heights = [*_heights(chart), *_failed_heights(chart)]
    low, high = min(heights), max(heights)
    if chart.log_y:
        first = math.floor(low)
        last = max(math.ceil(high), first + 1)
        step = max(1, -(-(last - first) // 8))
        return [float(power) for power in range(first // step * step, last + 1, step)]
    return _round_ticks(low, high, MOST_Y_TICKS)


def _round_ticks(low: float, high: float, most: int) -> list[float]:
    """Choose multiples of 1, 2, 5, 10, ... (or their tenths, hundredths, ...) as ticks; two around a single value."""
    if high == low:
        step = 10.0 ** math.floor(math.log10(abs(low) or 1.0))
        return _multiples(step, math.floor(low / step), math.floor(low / step) + 1)
    step = _round_step(high - low, most)
    return _multiples(step, math.ceil(low / step - SLACK), math.floor(high / step + SLACK))


def _round_step(span: float, most: int) -> float:
    """Return the smallest of 1, 2, 5, 10, ... (and their tenths) that divides a span into at most so many parts."""
    power = math.floor(math.log10(span / most))
    return next(step for factor in (1, 2, 5, 10) if span / (step := factor * 10.0**power) <= most + SLACK)


def _multiples(step: float, first: int, last: int) -> list[float]:
    """Multiples of a step, without the digits that a multiplication leaves behind."""
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]


def _is_drawn(chart: Chart, y: float | None) -> bool:
    return y is not None and math.isfinite(y) and (y > 0 or not chart.log_y)


def _x_position(chart: Chart, x: float) -> float:
    return math.log10(x) if chart.log_x else x


def _y_position(chart: Chart, y: float | None) -> float:
    assert y is not None, "only measured points are drawn"
    return math.log10(y) if chart.log_y else 100 * y if chart.percent else y


def _axes(chart: Chart) -> None:
    plotext.xlabel(chart.x_label)
    plotext.ylabel(f"{chart.y_label} (%)" if chart.percent else chart.y_label)
    xs = sorted({x for line in chart.lines for x in line.x})
    if chart.ticks:
        plotext.xticks(range(len(chart.ticks)), list(chart.ticks))
    elif len(xs) <= MOST_TICKS:
        plotext.xticks([_x_position(chart, x) for x in xs], [f"{x:g}" for x in xs])
    elif chart.log_x:
        powers = range(math.ceil(math.log10(xs[0])), math.floor(math.log10(xs[-1])) + 1)
        plotext.xticks(list(powers), [f"{10.0**power:g}" for power in powers])
    else:
        ticks = _round_ticks(xs[0], xs[-1], MOST_TICKS)
        plotext.xticks(ticks, [f"{tick:g}" for tick in ticks])
    ticks = _y_ticks(chart)
    plotext.ylim(*_y_limits(chart))
    plotext.yticks(ticks, [_power(tick) if chart.log_y else f"{tick:g}" for tick in ticks])


def _power(power: float) -> str:
    """A power of ten as a plain number where that is short."""
    return f"1e{power:g}" if abs(power) > 3 else f"{10.0**power:g}"


def _bars(chart: Chart, width: int) -> RenderableType:
    """Lay out one row per bar with name, bar and figure, and a mark at the reference level.

    If the names leave no room for bars, each gets a line above its bar.
    """
    values = [y for line in chart.lines for y in line.y if y is not None and _is_drawn(chart, y)]
    figures = [_figure(chart, y) for line in chart.lines for y in line.y]
    scale, labelled = _scale(chart, values), len(chart.lines) > 1
    taken = sum(max(map(cell_len, column), default=0) + 1 for column in (figures, _labels(chart)))
    names = max(map(cell_len, chart.ticks), default=0) + 1
    beside = width - taken - names >= SHORTEST_BAR
    length = max(SHORTEST_BAR, min(BAR, width - taken - (names if beside else 0)))
    parts: list[RenderableType] = []
    for position, tick in enumerate(chart.ticks):
        text = Text() if beside else Text(f"{tick}\n", end="")
        for index, line in enumerate(chart.lines):
            y = dict(zip(line.x, line.y, strict=True)).get(position)
            name = _padded(line.label, max(map(cell_len, _labels(chart)))) if labelled else ""
            bar = _bar(chart, scale, y, length)
            head = _padded("" if index else tick, names) if beside else ""
            text.append(f"{head}{name}{' ' * labelled}").append(bar, RICH_COLOURS[index % len(RICH_COLOURS)])
            text.append(" " * (length + 1 - len(bar)) + _figure(chart, y))
            text.append("\n" if index < len(chart.lines) - 1 else "")
        parts.append(text)
    return Group(*parts)


def _ranks(chart: Chart) -> RenderableType:
    """Lay out one row per name with its average rank; strokes connect names that do not differ."""
    width = max(map(cell_len, chart.ticks), default=0) + 1
    sets = [(first, last) for first, last in chart.joined if last > first]
    rows = [
        Text(f"{_padded(tick, width)}{rank:5.2f}  {''.join('│' if a <= index <= b else ' ' for a, b in sets)}")
        for index, (tick, rank) in enumerate(zip(chart.ticks, chart.lines[0].y, strict=True))
        if rank is not None
    ]
    difference = "" if chart.reference is None else f"Critical difference {chart.reference:.2f}; "
    return Group(*rows, Text(f"{difference}names along one stroke do not differ.", style="dim"))


def _labels(chart: Chart) -> list[str]:
    """Labels that distinguish the bars of one tick; an empty one for a single line."""
    return [line.label for line in chart.lines] if len(chart.lines) > 1 else [""]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _scale(chart: Chart, values: list[float]) -> tuple[float, float]:
    """Y positions at which a bar has length zero, and full length."""
    heights = [_y_position(chart, y) for y in values + ([] if chart.reference is None else [chart.reference])]
    top = max(heights, default=1.0)
    return (math.floor(min(heights, default=0.0)) - 1.0 if chart.log_y else min(0.0, *heights, 0.0)), top


def _bar(chart: Chart, scale: tuple[float, float], y: float | None, length: int) -> str:
    if not _is_drawn(chart, y):
        return "-"
    low, high = scale
    share = (_y_position(chart, y) - low) / ((high - low) or 1.0)
    bar = "█" * max(1, round(length * share))
    if chart.reference is None:
        return bar
    mark = round(length * (_y_position(chart, chart.reference) - low) / ((high - low) or 1.0))
    return bar.ljust(mark) + "|" if len(bar) <= mark else f"{bar[:mark]}|{bar[mark + 1 :]}"


def _figure(chart: Chart, y: float | None) -> str:
    if y is None:
        return "not measured"
    return f"{100 * y:.2f} %" if chart.percent else f"{y:.3g}"
