"""Picture of a norm's axes. The cube of (N, C, H*W) with the cells of one statistic marked."""

import re

from markupsafe import Markup, escape

from normbench.norms import NormInfo
from normbench.norms.axes import CHANNELS, IMAGES, POSITIONS, Axes
from normbench.text import visible

EDGE, SLANT = 15, 8
"""Pixels: side of a cell, and shift of an image to the right of and above the one before it."""
LEFT, TOP = 46, 14
WIDTH = LEFT + CHANNELS * EDGE + IMAGES * SLANT + 26
HEIGHT = TOP + IMAGES * SLANT + POSITIONS * EDGE + 24


def axes_svg(info: NormInfo, ident: str = "axes") -> Markup | None:
    """Draw the picture as SVG, for a page or a file; None if there is nothing to mark.

    Args:
        info: The norm.
        ident: Prefix of its ids, unique among the pictures of a page.
    """
    axes = info.axes
    if axes is None or axes.is_empty:
        return None
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="axes" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" aria-labelledby="{ident}-title {ident}-desc">'
        f'<title id="{ident}-title">{escape(info.name)}: what it averages over</title>'
        f'<desc id="{ident}-desc">A cube of images (N), channels (C) and positions (H×W), with the cells of one '
        f"statistic marked. {escape(info.axes_sentence)}</desc>"
    )
    return Markup(visible(head + "".join(_faces(axes)) + _labels() + "</svg>"))  # escaped above


def axes_file(info: NormInfo) -> str | None:
    """Draw the picture as an SVG file, for programs without CSS variables; None if there is nothing to mark."""
    picture = axes_svg(info)
    return None if picture is None else re.sub(r"var\(--[a-z]+, (#[0-9a-f]{6})\)", r"\1", picture) + "\n"


def _faces(axes: Axes) -> list[str]:
    """Draw the cells of the visible faces: front (first image), top (first position), side (last channel)."""
    front = [
        _cell(axes.covers(0, c, p), (c, p, 0), (c + 1, p, 0), (c + 1, p + 1, 0), (c, p + 1, 0))
        for c in range(CHANNELS)
        for p in range(POSITIONS)
    ]
    top = [
        _cell(axes.covers(n, c, 0), (c, 0, n), (c + 1, 0, n), (c + 1, 0, n + 1), (c, 0, n + 1))
        for c in range(CHANNELS)
        for n in range(IMAGES)
    ]
    side = [
        _cell(
            axes.covers(n, CHANNELS - 1, p),
            *((CHANNELS, p + down, n + back) for down, back in ((0, 0), (0, 1), (1, 1), (1, 0))),
        )
        for p in range(POSITIONS)
        for n in range(IMAGES)
    ]
    return front + top + side


def _cell(marked: bool, *corners: tuple[int, int, int]) -> str:
    points = " ".join(f"{LEFT + c * EDGE + n * SLANT},{TOP + (IMAGES - n) * SLANT + p * EDGE}" for c, p, n in corners)
    fill = "var(--mark, #0072b2)" if marked else "var(--cell, #f1f3f5)"
    return f'<polygon points="{points}" style="fill: {fill}; stroke: var(--grid, #868e96)"/>'


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
