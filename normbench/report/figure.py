"""Style of all plots, and their export. They go to the page and to SVG, PNG and PDF files.

Colours are those of a light page; in the page each becomes a CSS variable, which has another value on a dark one.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normbench.text import visible

INK, FAINT, PAPER, HEAT = "#1b1f24", "#596068", "#fdfdfe", "#0057a9"
SERIES = ("#0072b2", "#c24a00", "#00795b", "#a33c7c", "#8a6600", "#4b5563", "#6d4fc2", "#b3261e")
"""Colours after Okabe and Ito, darkened to a contrast of 4.5 on white; markers and dashes differ as well."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
VARIABLES = {INK: "ink", FAINT: "faint", PAPER: "paper", HEAT: "heat"} | {
    colour: f"series-{index}" for index, colour in enumerate(SERIES)
}
WIDTH = 5.0
"""Inches: 480 pixels on a page, and still legible when a phone shrinks it."""
LINE = 0.19
"""Inches per line of a legend."""

STYLE: dict[Any, Any] = {
    "font.size": 11, "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"],
    "text.parse_math": False, "text.color": INK,
    "figure.facecolor": PAPER, "savefig.facecolor": PAPER, "axes.facecolor": PAPER,
    "axes.edgecolor": FAINT, "axes.labelcolor": INK, "axes.spines.top": False, "axes.spines.right": False,
    "xtick.color": FAINT, "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "axes.grid": True, "grid.color": FAINT, "grid.alpha": 0.25, "grid.linewidth": 0.6, "axes.axisbelow": True,
    "lines.linewidth": 1.8, "lines.markersize": 5.5, "legend.frameon": False, "legend.fontsize": 10,
    "svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "normbench", "figure.constrained_layout.use": True,
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """Plot in its formats."""

    name: str
    """Name of its files, without ending."""
    title: str
    description: str
    """Content in words, for screen readers."""
    inline: Markup
    svg: str
    png: bytes
    pdf: bytes


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in this style, whatever the user's matplotlibrc says, and restore matplotlib afterwards."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # of a name; the browser has it
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def new_figure(height: float) -> tuple[Figure, Axes]:
    """Create a figure with one set of axes and this height in inches; inside `drawing()`."""
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.add_subplot()


def series_style(index: int) -> dict[str, Any]:
    """Colour, marker and dash of a series; no two of the first 24 share all three."""
    colour, turn = index % len(SERIES), index // len(SERIES)
    return {
        "color": SERIES[colour],
        "marker": MARKERS[(colour + turn) % len(MARKERS)],
        "linestyle": DASHES[(colour + turn) % len(DASHES)],
    }


def series_styles(groups: Sequence[str]) -> list[dict[str, Any]]:
    """Looks of several series: those of one group share its colour, each one without a group has a separate colour."""
    names = [group or str(index) for index, group in enumerate(groups)]
    order = list(dict.fromkeys(names))
    drawn = []
    for index, name in enumerate(names):
        style, member = series_style(order.index(name)), names[:index].count(name)
        marker = MARKERS[(MARKERS.index(style["marker"]) + member * 3) % len(MARKERS)]
        drawn.append(style | {"marker": marker, "linestyle": DASHES[member % len(DASHES)]} if groups[index] else style)
    return drawn


def percents(value: float, _position: int | None = None) -> str:
    """Format a tick of an axis of fractions."""
    return f"{100 * value:.4g} %"


def keep_within(axes: Axes, side: Literal["x", "y"], low: float, high: float) -> None:
    """Narrow an axis to the values that are possible; margins and wide intervals reach beyond them."""
    first, last = axes.get_xlim() if side == "x" else axes.get_ylim()
    limits = max(low, first), min(high, last)
    if side == "x":
        axes.set_xlim(*limits)
    else:
        axes.set_ylim(*limits)


def legend(axes: Axes) -> None:
    """Add a legend above the plot, from the left edge of the figure, with as many entries per line as fit.

    The figure grows by its lines after the first, so that it takes no room from the plot.
    """
    handles, labels = axes.get_legend_handles_labels()
    columns = _columns(labels)
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes are drawn on a figure"
    lines = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + LINE * (lines - 1))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, handlelength=2.6, columnspacing=1.4)


def _columns(labels: Sequence[str]) -> int:
    """Number of entries that fit in a line, each with a handle and a gap."""
    return max(1, min(len(labels), int(WIDTH / (0.7 + 0.08 * max(map(len, labels))))))


def short(label: str, most: int = 32) -> str:
    """Shorten a label to leave room for the plot; of a long path the end is kept, and no control character."""
    label = visible(label, lines=False)  # a font has no glyph for a lone surrogate, and a PDF no text of it
    return label if len(label) <= most else f"…{label[1 - most :]}"


def export_plot(figure: Figure, name: str, title: str, description: str) -> Plot:
    """Export a figure in all formats; the same figure gives the same bytes. Inside `drawing()`."""
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)  # once, not for every format: it takes as long as the drawing
        figure.set_layout_engine("none")
    svg, png, pdf = io.StringIO(), io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    figure.savefig(pdf, format="pdf", metadata=dict.fromkeys(("Creator", "Producer", "CreationDate")))
    labelled = visible(_labelled(svg.getvalue(), name, title, description))  # XML knows no control characters
    return Plot(name, title, description, _inline(labelled), labelled, png.getvalue(), pdf.getvalue())


def _labelled(svg: str, name: str, title: str, description: str) -> str:
    """Add a title and a description for screen readers, and make the ids unique."""
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    label = f'class="plot" role="img" aria-labelledby="{name}-title {name}-desc"'
    texts = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    return re.sub(r"<svg ([^>]*)>", lambda match: f"<svg {label} {match[1]}>{texts}", svg, count=1)


def _inline(svg: str) -> Markup:
    """Convert the drawing to a piece of HTML, in the colours of the page."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    return Markup(body)  # matplotlib escapes the texts, and we the title
