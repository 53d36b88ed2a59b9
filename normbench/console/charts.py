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
RICH_COLOURS = ("blue", "yellow", "green", "magenta", "red", "cyan", "bright_black", "white")
COLOURS = ("blue", "orange", "green", "magenta", "red", "cyan", "gray", "white")
MARKS = "ox+*#@%&"
FAILED = "X"
"""Mark at the foot of a chart for a run that diverged or failed."""
MOST_TICKS = 12


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
    for index, line in enumerate(chart.lines):
        _line(chart, line, index)
    if chart.reference is not None:
        plotext.hline(_y_position(chart, chart.reference), "gray")
    _mark_failed(chart)
    _axes(chart)
    text = str(plotext.build())
    plotext.clear_figure()
    return text


def _line(chart: Chart, line: Line, index: int) -> None:
    points = [
        (_x_position(chart, x), _y_position(chart, y))
        for x, y in zip(line.x, line.y, strict=True)
        if _is_drawn(chart, y)
    ]
    if not points:
        return
    xs, ys = zip(*points, strict=True)
    mark, colour = MARKS[index % len(MARKS)], COLOURS[index % len(COLOURS)]
    plotext.plot(xs, ys, marker="braille", color=colour)
    plotext.scatter(xs, ys, marker=mark, color=colour)


def _mark_failed(chart: Chart) -> None:
    """Mark failures below all points, one level per line, so that no mark hides another."""
    heights = [_y_position(chart, y) for line in chart.lines for y in line.y if _is_drawn(chart, y)] or [0.0]
    step = (max(heights) - min(heights) or 1.0) / 12
    with_failures = [(index, line) for index, line in enumerate(chart.lines) if line.unfinished]
    for level, (index, line) in enumerate(with_failures, 1):
        xs = [_x_position(chart, x) for x in line.unfinished]
        plotext.scatter(xs, [min(heights) - level * step] * len(xs), marker=FAILED, color=COLOURS[index % len(COLOURS)])


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
    elif not chart.log_x and all(x.is_integer() for x in xs):
        ticks = _round_ticks(xs[0], xs[-1])
        plotext.xticks(ticks, [f"{tick:g}" for tick in ticks])
    if chart.log_y:
        _decade_ticks(chart)


def _round_ticks(low: float, high: float) -> list[float]:
    """Choose multiples of 5, 10, 20, ... as ticks, a handful of them."""
    step = next(step for step in (5 * 2**power for power in range(64)) if (high - low) / step <= MOST_TICKS)
    return [float(tick) for tick in range(step * math.ceil(low / step), math.floor(high) + 1, step)]


def _decade_ticks(chart: Chart) -> None:
    """Set ticks at powers of ten; the y positions are logarithms."""
    ys = [math.log10(y) for line in chart.lines for y in line.y if y is not None and _is_drawn(chart, y)]
    if not ys:
        return
    low, high = math.floor(min(ys)), math.ceil(max(ys))
    step = max(1, (high - low) // 8)
    ticks = range(low, high + 1, step)
    plotext.yticks(list(ticks), [f"1e{power}" if abs(power) > 3 else f"{10.0**power:g}" for power in ticks])


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
