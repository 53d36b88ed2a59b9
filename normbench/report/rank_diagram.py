"""Critical-difference diagram of average ranks. Bars join the names that do not differ.

Source: Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7 (2006), 1-30, section 3.2.4.
"""

from matplotlib.axes import Axes

from normbench.analysis import Chart
from normbench.report.figure import FAINT, HEAT, INK, short

ROW, BAR = 0.26, 0.16
"""Inches per row of names, and per bar."""
EDGE = 0.35
"""Room beside the axis for the names, as a share of its length."""


def height_of(chart: Chart) -> float:
    """Height of the diagram in inches."""
    rows = -(-len(chart.ticks) // 2)
    return 1.0 + BAR * (len(bars_of(chart)) + 1) + ROW * rows


def bars_of(chart: Chart) -> list[tuple[int, int]]:
    """Sets of two or more names that do not differ, which a bar joins."""
    return [(first, last) for first, last in chart.joined if last > first]


def draw_ranks(axes: Axes, chart: Chart) -> None:
    """Draw the axis of ranks with the critical difference above it, the bars below, then the names on either side."""
    ranks = [rank for rank in chart.lines[0].y if rank is not None]
    count, bars = len(ranks), bars_of(chart)
    _draw_axis(axes, count, chart.reference)
    depth = 0.4
    for first, last in bars:
        axes.plot([ranks[first] - 0.06, ranks[last] + 0.06], [depth, depth], color=HEAT, linewidth=4)
        depth += BAR / ROW
    half = -(-count // 2)
    for index, rank in enumerate(ranks):
        left = index < half
        row = depth + 0.5 + (index if left else count - 1 - index)
        edge = 1 - 0.04 * count if left else count + 0.04 * count
        axes.plot([rank, rank, edge], [0, row, row], color=FAINT, linewidth=1)
        text = f"{short(chart.ticks[index], 20)}  {rank:.2f}"
        _text_beside(axes, edge, row, text, left=left)
    room = EDGE * max(1, count - 1)
    axes.set_xlim(1 - 0.04 * count - room, count * 1.04 + room)
    axes.set_ylim(depth + half + 0.2, -2.4)
    axes.set_xlabel(chart.x_label)


def _text_beside(axes: Axes, x: float, y: float, text: str, *, left: bool) -> None:
    """Write a text to the left or right of a point; blanks around it would be lost in an SVG file."""
    axes.annotate(text, (x, y), xytext=(-5 if left else 5, 0), textcoords="offset points",
                  ha="right" if left else "left", va="center", color=INK)  # fmt: skip


def _draw_axis(axes: Axes, count: int, difference: float | None) -> None:
    axes.plot([1, count], [0, 0], color=INK, linewidth=1.2)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [-0.2, 0], color=INK, linewidth=1.2)
        axes.text(rank, -0.35, f"{rank}", ha="center", va="bottom", color=INK)
    if difference is not None:
        end = 1 + difference
        axes.plot([1, 1, 1, end, end, end], [-1.9, -1.5, -1.7, -1.7, -1.5, -1.9], color=INK, linewidth=1.2)
        _text_beside(axes, end, -1.7, f"critical difference {difference:.2f}", left=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
