"""Elements of a page; the template has a macro for each kind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

from normbench.analysis import Table
from normbench.report.figure import Plot


@dataclass(frozen=True)
class Text:
    """Paragraph; a warning must not be overlooked, a note explains."""

    text: str
    tone: Literal["plain", "note", "warning"] = "plain"
    kind: str = "text"


@dataclass(frozen=True)
class TableElement:
    """Table with the id that its caption has on the page."""

    ident: str
    table: Table
    kind: str = "table"


@dataclass(frozen=True)
class Plots:
    """Plots in a row, as far as there is room, with the tables of their figures beside them."""

    plots: Sequence[Plot]
    tables: Sequence[TableElement] = ()
    kind: str = "plots"


@dataclass(frozen=True)
class Picture:
    """Small picture with its caption in lines."""

    uri: str
    """The picture in a data URI."""
    description: str
    """Content in words, for screen readers."""
    lines: Sequence[str]


@dataclass(frozen=True)
class Gallery:
    """Small pictures under one title."""

    title: str
    pictures: Sequence[Picture]
    kind: str = "gallery"


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    text: str
    kind: str = "code"


@dataclass(frozen=True)
class Norm:
    """Norm with its formula, axes and advice."""

    name: str
    title: str
    formula: str
    axes: str
    """Axes that it averages over, in words."""
    when: str
    avoid: str
    """Empty where nothing is known."""
    paper: str
    picture: Markup | None


@dataclass(frozen=True)
class Norms:
    """Norms, two side by side where there is room."""

    norms: Sequence[Norm]
    kind: str = "norms"


@dataclass(frozen=True)
class Fold:
    """Long content, folded away under a summary."""

    summary: str
    elements: "Sequence[Element]"
    kind: str = "fold"


Element = Text | TableElement | Plots | Gallery | Code | Norms | Fold


@dataclass(frozen=True)
class Section:
    """Heading with its elements, or with the reason why there are none."""

    ident: str
    title: str
    elements: Sequence[Element] = field(default_factory=list)
    missing: str = ""

    @property
    def plots(self) -> list[Plot]:
        """Every plot in it."""
        return [plot for element in self.elements if isinstance(element, Plots) for plot in element.plots]


@dataclass(frozen=True)
class Page:
    """Content of a report, which the template is filled with."""

    name: str
    conclusions: Sequence[str]
    warnings: Sequence[str]
    sections: Sequence[Section]
    left_out: Sequence[str] = ()
    """Sentences on sections and runs that are not in it."""

    @property
    def plots(self) -> list[Plot]:
        """Every plot, in the order of the page."""
        return [plot for section in self.sections for plot in section.plots]
