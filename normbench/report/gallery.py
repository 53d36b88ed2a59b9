"""Pictures of norms for slides: SVG, PNG and PDF, on a light ground that is legible on any slide."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes as Plane
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from normbench.errors import UsageError
from normbench.files import Kind, is_pdf, is_png, is_svg
from normbench.norms import NormInfo
from normbench.norms.axes import CHANNELS, IMAGES, POSITIONS
from normbench.report.axes import EDGE, HEIGHT, LEFT, SLANT, TOP, WIDTH, Cell, cells
from normbench.report.figure import FAINT, INK, PAPER, SERIES, drawing
from normbench.text import visible

FORMATS: dict[str, tuple[str, Kind]] = {
    ".svg": ("an SVG picture", is_svg),
    ".png": ("a PNG picture", is_png),
    ".pdf": ("a PDF document", is_pdf),
}
"""Endings of a picture's file, each with its kind in words and the test for a file of it."""
EMPTY, GRID = "#eceff2", "#868e96"
COLUMNS = 6
CELL = (2.3, 2.35)
"""Inches of a norm in the gallery."""


def picture_format(path: Path) -> str:
    """Return the ending of a picture's file; that of SVG for a name without one.

    Raises:
        UsageError: It is none of those that can be drawn.
    """
    ending = path.suffix.lower() or ".svg"
    if ending not in FORMATS:
        raise UsageError(f"{path}: not the name of a picture", f"End it in {', '.join(FORMATS)}.")
    return ending


def norm_picture(info: NormInfo, ending: str) -> bytes:
    """Draw the axes of one norm as a file.

    Raises:
        UsageError: It averages over no axes, or unknown ones.
    """
    if info.axes is None or info.axes.is_empty:
        raise UsageError(f"there is no picture of {info.name}: it averages over no axes, or unknown ones")
    with drawing():
        figure = _figure(3.6, 3.4)
        _draw(figure.add_axes((0.02, 0.18, 0.96, 0.68)), info)
        figure.text(
            0.5, 0.93, visible(_short(info.name, 34), lines=False), size=14, weight="bold", ha="center", va="center"
        )
        sentence = textwrap.fill(_meaning(info), 52)
        figure.text(0.5, 0.11, visible(sentence), size=8.5, color=FAINT, ha="center", va="center")
        return _exported(figure, ending)


def gallery(infos: Sequence[NormInfo], ending: str) -> bytes:
    """Draw the axes of several norms side by side as a file."""
    rows = -(-len(infos) // COLUMNS)
    with drawing():
        figure = _figure(COLUMNS * CELL[0], rows * CELL[1] + 0.6)
        bottom = 0.6 / figure.get_figheight()
        for index, info in enumerate(infos):
            row, column = divmod(index, COLUMNS)
            height = (1 - bottom) / rows
            left, low = column / COLUMNS, bottom + (rows - 1 - row) * height
            _draw(figure.add_axes((left + 0.004, low + 0.2 * height, 1 / COLUMNS - 0.008, 0.66 * height)), info)
            middle = left + 0.5 / COLUMNS
            figure.text(
                middle, low + 0.9 * height, visible(info.name), size=13, weight="bold", ha="center", va="center"
            )
            caption = textwrap.fill(info.title, 30)
            figure.text(middle, low + 0.13 * height, visible(caption), size=8, color=FAINT, ha="center", va="center")
        note = (
            "One colour and shade: the values that share a statistic, of images (N), channels (C) and positions (H×W). "
            "Hatched: divided without subtracting a mean. Grey: no statistic; of windows one is shown."
        )
        figure.text(0.5, bottom / 2, note, size=9, color=INK, ha="center", va="center")
        return _exported(figure, ending)


def _figure(width: float, height: float) -> Figure:
    """Create a figure in which everything stands where it is put."""
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    return figure


def _meaning(info: NormInfo) -> str:
    """Explain a picture, which is of the first statistic of a norm."""
    sentence = info.axes.sentence(info.statistic) if info.axes else info.axes_sentence
    more = "; ".join(f"{name} over {axes}" for name, axes in info.further)
    return sentence + f" Not drawn: {more}." * bool(more) + " No mean is subtracted." * (not info.is_centred)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _draw(plane: Plane, info: NormInfo) -> None:
    """Draw the cube of a norm; of one without a statistic, an empty one."""
    assert info.axes is not None, "custom norms are not drawn"
    plane.set_axis_off()
    plane.set_xlim(0, WIDTH)
    plane.set_ylim(HEIGHT, 0)
    plane.set_aspect("equal")
    faces = cells(info.axes)
    plane.add_collection(
        PolyCollection(
            [cell.corners for cell in faces],
            facecolors=[_colour(cell) for cell in faces],
            edgecolors=GRID,
            linewidths=0.6,
        )
    )
    grouped = [cell.corners for cell in faces if cell.group is not None]
    if grouped and not info.is_centred:
        plane.add_collection(PolyCollection(grouped, facecolors="none", edgecolors=PAPER, hatch="///", linewidths=0))
    front = TOP + IMAGES * SLANT
    plane.text(LEFT - 8, front + POSITIONS * EDGE / 2, "H×W", size=9, color=INK, ha="right", va="center")
    plane.text(LEFT + CHANNELS * EDGE / 2, front + POSITIONS * EDGE + 6, "C", size=9, color=INK, ha="center", va="top")
    plane.text(LEFT + CHANNELS * EDGE + IMAGES * SLANT / 2 + 6, front + POSITIONS * EDGE, "N", size=9, color=INK)


def _colour(cell: Cell) -> tuple[float, float, float]:
    """Mix the colour of a cell with the paper: files of all formats show it alike."""
    if cell.group is None:
        return to_rgb(EMPTY)
    red, green, blue = (
        cell.opacity * ink + (1 - cell.opacity) * paper
        for ink, paper in zip(to_rgb(SERIES[cell.group[0]]), to_rgb(PAPER), strict=True)
    )
    return red, green, blue


def _exported(figure: Figure, ending: str) -> bytes:
    """Export a figure; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {
        ".svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
        ".png": {"Software": None},
        ".pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
    }[ending]
    with mpl.rc_context({"hatch.linewidth": 0.7, "pdf.fonttype": 42}):
        figure.savefig(buffer, format=ending.removeprefix("."), dpi=200, metadata=metadata)
    return buffer.getvalue()
