"""Picture of a norm's axes. The cube of (N, C, H*W) with a colour for each statistic, in a page."""

from dataclasses import dataclass

from markupsafe import Markup, escape

from normbench.norms import NormInfo
from normbench.norms.axes import CHANNELS, IMAGES, POSITIONS, Axes
from normbench.report.figure import SERIES
from normbench.text import visible

EDGE, SLANT = 15, 8
"""Pixels: side of a cell, and shift of an image to the right of and above the one before it."""
LEFT, TOP = 46, 14
WIDTH = LEFT + CHANNELS * EDGE + IMAGES * SLANT + 26
HEIGHT = TOP + IMAGES * SLANT + POSITIONS * EDGE + 24
PALEST = 0.35
"""Opacity of the last shade of a hue."""


@dataclass(frozen=True)
class Cell:
    """Face of a cell: its corners in pixels, downwards, and its group (`Axes.group`)."""

    corners: tuple[tuple[int, int], ...]
    group: tuple[int, float] | None

    @property
    def opacity(self) -> float:
        """Opacity of its colour."""
        return 1.0 if self.group is None else 1.0 - (1.0 - PALEST) * self.group[1]


def cells(axes: Axes) -> list[Cell]:
    """List the cells of the visible faces: front (first image), top (first position), side (last channel)."""
    front = [
        _cell(axes.group(0, c, p), (c, p, 0), (c + 1, p, 0), (c + 1, p + 1, 0), (c, p + 1, 0))
        for c in range(CHANNELS)
        for p in range(POSITIONS)
    ]
    top = [
        _cell(axes.group(n, c, 0), (c, 0, n), (c + 1, 0, n), (c + 1, 0, n + 1), (c, 0, n + 1))
        for c in range(CHANNELS)
        for n in range(IMAGES)
    ]
    side = [
        _cell(
            axes.group(n, CHANNELS - 1, p),
            *((CHANNELS, p + down, n + back) for down, back in ((0, 0), (0, 1), (1, 1), (1, 0))),
        )
        for p in range(POSITIONS)
        for n in range(IMAGES)
    ]
    return front + top + side


def _cell(group: tuple[int, float] | None, *corners: tuple[int, int, int]) -> Cell:
    return Cell(
        tuple((LEFT + c * EDGE + n * SLANT, TOP + (IMAGES - n) * SLANT + p * EDGE) for c, p, n in corners), group
    )


def axes_svg(info: NormInfo, ident: str = "axes") -> Markup | None:
    """Draw the picture as SVG for a page; None if there is nothing to mark.

    Args:
        info: The norm.
        ident: Prefix of its ids, unique among the pictures of a page.
    """
    cubes = [cells(axes) for _, axes in info.statistics if not axes.is_empty]
    if not cubes:
        return None
    width, each = WIDTH * len(cubes), "A cube" if len(cubes) == 1 else "For each statistic a cube"
    hatch = "" if info.is_centred else " Hatched: it divides without subtracting a mean."
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="axes" role="img" viewBox="0 0 {width} {HEIGHT}" '
        f'width="{width}" height="{HEIGHT}" aria-labelledby="{ident}-title {ident}-desc">'
        f'<title id="{ident}-title">{escape(info.name)}: what it averages over</title>'
        f'<desc id="{ident}-desc">{each} of images (N), channels (C) and positions (H×W); the cells of one '
        f"statistic have one colour. {escape(info.axes_sentence)}{hatch}</desc>"
    )
    drawn = "" if info.is_centred else _pattern(ident)
    for index, faces in enumerate(cubes):
        cube = "".join(map(_polygon, faces)) + _labels()
        if not info.is_centred:
            cube += "".join(_hatched(cell, ident) for cell in faces if cell.group is not None)
        drawn += f'<g transform="translate({index * WIDTH})">{cube}</g>'
    return Markup(visible(head + drawn + "</svg>"))  # escaped above


def _polygon(cell: Cell) -> str:
    hue = None if cell.group is None else cell.group[0]
    fill = "var(--cell, #f1f3f5)" if hue is None else f"var(--series-{hue}, {SERIES[hue]})"
    opacity = "" if cell.opacity == 1 else f"; fill-opacity: {cell.opacity:.2f}"
    return f'<polygon points="{_points(cell)}" style="fill: {fill}{opacity}; stroke: var(--grid, #868e96)"/>'


def _hatched(cell: Cell, ident: str) -> str:
    return f'<path d="M{_points(cell)}Z" style="fill: url(#{ident}-hatch)"/>'


def _pattern(ident: str) -> str:
    line = '<path d="M0,8 L8,0" style="stroke: var(--paper, #fdfdfe)"/>'
    return (
        f'<defs><pattern id="{ident}-hatch" width="8" height="8" patternUnits="userSpaceOnUse">{line}</pattern></defs>'
    )


def _points(cell: Cell) -> str:
    return " ".join(f"{x},{y}" for x, y in cell.corners)


def _labels() -> str:
    front = TOP + IMAGES * SLANT
    labels = {
        "H×W": (LEFT - 8, front + POSITIONS * EDGE / 2 + 4, "end"),
        "C": (LEFT + CHANNELS * EDGE / 2, front + POSITIONS * EDGE + 17, "middle"),
        "N": (LEFT + CHANNELS * EDGE + IMAGES * SLANT / 2 + 6, front + POSITIONS * EDGE, "start"),
    }
    style = "fill: var(--ink, #1b1f24); font: 12px system-ui, sans-serif"
    return "".join(
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" style="{style}">{text}</text>'
        for text, (x, y, anchor) in labels.items()
    )
